/** RFC 8555 §7.2 to §7.6, §8 to §11: accounts, orders, authorizations, revocation, challenges. */
import { must, own, should, type RequirementList } from "../requirement.ts";

export const rfc8555Accounts: RequirementList = {
  document: "RFC 8555 §7.2 and §7.3 Nonces and accounts",
  requirements: {
    "R7.2-1": must("newNonce: HEAD 200, GET 204 without a body, a nonce, and never cached"),
    "R7.3-1": must("newAccount → 201 with Location and the account"),
    "R7.3-2": must("Members that are the server's own, and unknown ones, are ignored and not reflected"),
    "R7.3-3": must("Contacts are checked: one plain mailto address each → unsupportedContact, invalidContact"),
    "R7.3-4": must("With terms of service, an account that does not agree is refused"),
    "R7.3.1-1": must("A known key → 200 with its account; what the request says changes nothing"),
    "R7.3.1-2": must("onlyReturnExisting with an unknown key → accountDoesNotExist, and nothing is made"),
    "R7.3.1-3": must("One account per key, also when two ask at once"),
    "R7.3.2-1": must("An update changes contacts, and ignores what it may not change"),
    "R7.3.3-1": own("Changed terms → 403 userActionRequired, with the link and where to agree"),
    "R7.3.4-1": must("An external binding is a MAC'd JWS over this key, for this URL, without a nonce; else refused"),
    "R7.3.4-2": should(
      "Binding required and absent → externalAccountRequired; meta says so; known keys are found before",
    ),
    "R7.3.4-3": must("A verified binding is reflected in the account, an unverified one never"),
    "R7.3.4-4": own("A single-use binding key is consumed once, atomically; an expired one is refused"),
    "R7.3.5-1": must("keyChange is refused unless the outer and the inner JWS are all that the document says"),
    "R7.3.5-2": should("A new key that is in use → 409 with the Location of its account"),
    "R7.3.5-3": must("A key change leaves open orders alone; challenges use the new thumbprint"),
    "R7.3.6-1": must("Deactivation: 200; from then on every request of the account → 401 unauthorized"),
    "R7.3.6-2": should("Deactivation ends what is open and revokes nothing"),
  },
};

export const rfc8555Orders: RequirementList = {
  document: "RFC 8555 §7.4 Orders and issuance",
  requirements: {
    "R7.4-1": must("newOrder → 201 with Location and the order"),
    "R7.4-2": must("What cannot be fulfilled as specified is refused; nothing else than what was ordered is issued"),
    "R7.4-3": own("No identifiers, too many, or one twice → malformed"),
    "R7.4-4": must("finalize in any state but ready → 403 orderNotReady"),
    "R7.4-5": must("The names of the CSR are exactly those of the order"),
    "R7.4-6": should("A refused CSR → badCSR, and the order stays ready"),
    "R7.4-7": must("The CSR is one DER request whose signature verifies"),
    "R7.4-8": own("Work that takes long: processing with Retry-After, then valid with the certificate"),
    "R7.4-9": own("Repeated and parallel finalizes make exactly one certificate"),
    "R7.4-10": must("An order ends with its time"),
    "R7.4.1-1": must("newAuthz → 201 with Location; no wildcards; refusals say why"),
    "R7.4.2-1": must("A PEM chain by default: leaf first, each certified by the next, nothing else in the text"),
    "R7.4.2-2": own("Accept is honoured for what we have, and answered with the default otherwise"),
    "R7.4.2-3": own("Other chains for the same certificate are linked as alternate"),
    "R7.4.2-4": must("A certificate resource never changes and is its account's alone"),
  },
};

export const rfc8555Authorizations: RequirementList = {
  document: "RFC 8555 §7.5 and §7.6 Authorizations and revocation",
  requirements: {
    "R7.5.1-1": must("A response to a challenge → 200 with the challenge"),
    "R7.5.1-2": must("Unknown members of a response are ignored; a malformed one changes nothing"),
    "R7.5.1-3": must("An authorization is settled once; its other challenges stay as they were"),
    "R7.5.1-4": own("Retry-After while a challenge is processing"),
    "R7.5.1-5": own("Another response while one is processing starts no other validation"),
    "R7.5.2-1": must("Only its owner deactivates an authorization; a deactivated one issues nothing"),
    "R7.6-1": must("Revocation by the ordering account, by one authorized for all names, or by the certificate's key"),
    "R7.6-2": must("A reason that is not for clients → badRevocationReason"),
    "R7.6-3": must("A second revocation → alreadyRevoked, also in parallel"),
    "R7.6-4": should("Without a reason, none is recorded or published"),
    "R7.6-5": must("What is not one of our certificates to the octet is refused"),
    "R7.6-6": own("A compromised or refused key, or one of a deactivated account, may still revoke its certificate"),
  },
};

export const rfc8555Challenges: RequirementList = {
  document: "RFC 8555 §8 to §11 Challenges and security",
  requirements: {
    "R8-1": must("A challenge has type, url, status; validated when valid, error when it failed"),
    "R8.1-1": must("The key authorization uses the RFC 7638 thumbprint, coordinates at full length"),
    "R8.2-1": should("A failed query is tried again by the server; the client is told to wait; errors are shown"),
    "R8.3-1": must("Tokens: at least 128 bits, base64url, without padding"),
    "R8.3-2": must("http-01 goes to port 80, unless configured otherwise"),
    "R8.3-3": should("http-01 ignores white space at the end and follows redirects"),
    "R8.3-4": own("http-01 sends Host, no userinfo or fragment, and tries the other address family when one is dead"),
    "R8.4-1": must("dns-01: any TXT record at _acme-challenge with the digest, its strings joined, CNAMEs followed"),
    "R9.1-1": must("PEM is strict"),
    "R10.2-1": should("DNS over TCP where UDP is not enough"),
    "R10.4-1": should("Validation cannot be used to reach into networks or to flood a target"),
    "R10.5-1": should("URLs of objects are unguessable, and access to them is controlled as well"),
    "R11.1-1": must("The key of a CSR is no account key that we know"),
    "R11.3-1": must("Tokens come from the platform's CSPRNG"),
  },
};
