/** RFC 8555 §6 and §7.1: how messages travel, and what the objects look like. */
import { must, own, should, type RequirementList } from "../requirement.ts";

export const rfc8555Transport: RequirementList = {
  document: "RFC 8555 §6 Message transport",
  requirements: {
    "R6.1-1": must("ACME is spoken over TLS only"),
    "R6.1-2": should("Pages of any origin may call the API and read its headers (CORS)"),
    "R6.1-3": must("base64url with padding is refused, in every field"),
    "R6.1-4": own("base64url of another alphabet, with white space or stray bits is refused"),
    "R6.2-1": must("A body is a JWS in flattened JSON serialization, and nothing else"),
    "R6.2-2": must("No second signature, unprotected header, detached or unencoded payload; crit is refused"),
    "R6.2-3": must("The protected header has alg, nonce, url and exactly one of jwk and kid"),
    "R6.2-4": must("alg is neither none nor a MAC"),
    "R6.2-5": must("ES256 works"),
    "R6.2-6": should("EdDSA with Ed25519 works"),
    "R6.2-7": must("An unsupported alg → badSignatureAlgorithm, with the list of those supported"),
    "R6.2-8": must("A key that is weak, malformed or not of the alg → badPublicKey"),
    "R6.2-9": must("newAccount is signed by jwk, revokeCert by jwk or kid, everything else by kid"),
    "R6.2-10": must("kid is an account URL of this server"),
    "R6.2-11": must("A media type other than application/jose+json → 415"),
    "R6.3-1": must("GET only where the document allows it → otherwise 405"),
    "R6.3-2": must("POST-as-GET has a payload of no octets and is authorized like any POST"),
    "R6.3-3": must("directory and newNonce answer GET, and POST-as-GET too"),
    "R6.4-1": must("The signed url is the requested one, else unauthorized"),
    "R6.5-1": must("Every good reply to a POST carries a fresh Replay-Nonce"),
    "R6.5-2": should("So does every refusal"),
    "R6.5-3": must("A nonce is accepted once, whatever became of its request"),
    "R6.5-4": must("An unknown or missing nonce → badNonce, with one that works"),
    "R6.5-5": must("Nonces are unpredictable base64url; text that is no base64url → malformed"),
    "R6.6-1": must("Over a limit → 429 rateLimited, with Retry-After and a link to help"),
    "R6.7-1": should("Every error is a problem document"),
    "R6.7-2": must("No type in the ACME error namespace that is not registered"),
    "R6.7-3": must("Identifiers stand in subproblems only"),
    "R6.7-4": should("A problem shows nothing of our insides"),
  },
};

export const rfc8555Resources: RequirementList = {
  document: "RFC 8555 §7.1 Resources",
  requirements: {
    "R7.1-1": own("Every reply but the directory links to it as index"),
    "R7.1-2": own("A challenge links to its authorization as up"),
    "R7.1.1-1": must("The directory names the resources that there are, to anybody who asks"),
    "R7.1.1-2": own(
      "meta: terms of service, website, CAA identities, EAB, profiles, workload attestation; no inner names",
    ),
    "R7.1.2-1": must("An account has a status and the URL of its orders"),
    "R7.1.2.1-1": must(
      "The list of orders: paged, without invalid ones, losing and repeating none while orders come in",
    ),
    "R7.1.3-1": must("An order has status, identifiers, authorizations, finalize, and expires while that matters"),
    "R7.1.3-2": must("What an order is for, and its authorizations, never change"),
    "R7.1.3-3": must("certificate is shown by a valid order only, error by a failed one"),
    "R7.1.4-1": must("An authorization has identifier, status, challenges, and expires when valid"),
    "R7.1.4-2": must("A wildcard is authorized under its base name with wildcard true; nobody else has that member"),
    "R7.1.4-3": must("A-labels are verified; other Unicode, over-long labels and names are refused"),
    "R7.1.6-1": must("Accounts, orders, authorizations and challenges change state along the document's arrows only"),
  },
};
