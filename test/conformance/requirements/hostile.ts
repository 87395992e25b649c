/** Attacks and faults, each with what must come of it. */
import { own, type RequirementList } from "../requirement.ts";

export const hostileAccess: RequirementList = {
  document: "Access",
  requirements: {
    "H-01a": own("Every URL handed out, asked by another account: as if it did not exist"),
    "H-01b": own("The same by a deactivated account → 401"),
    "H-01c": own("The same by an unknown account, by jwk, by GET → refused as such"),
    "H-02": own("An order whose authorizations are another's; authorizations across accounts → never used"),
    "H-03": own("Objects, evidence and tokens of one door at another → refused"),
    "H-23": own("Enumeration: ids are not guessable; not found and not yours look alike"),
  },
};

export const hostileSignatures: RequirementList = {
  document: "Signatures, nonces, accounts",
  requirements: {
    "H-04a": own("alg none, in any spelling; a MAC with the public key; no alg"),
    "H-04b": own("Key and alg that do not fit; private members; x5c"),
    "H-04c": own("Members twice; crit; b64; kid beside jwk"),
    "H-04d": own("DER signatures, zero r or s, high s"),
    "H-04e": own("Another account's kid under one's own signature"),
    "H-05": own("A jwk with another key's signature; a key that changes under requests in flight"),
    "H-06a": own("One nonce used many times in parallel → one success"),
    "H-06b": own("A nonce of another server, too old, or of an earlier process; one of another replica works once"),
    "H-06c": own("A flood of bad signatures spends no nonce and keeps memory bounded"),
    "H-07": own("A signed request sent to another URL"),
    "H-08": own("External binding replayed, parallel, for another directory, key or URL; no oracle for key ids"),
    "H-09": own("keyChange to a key in use, to one's own, in parallel; the old key afterwards"),
  },
};

export const hostileValidation: RequirementList = {
  document: "Validation",
  requirements: {
    "H-10a": own("Names that resolve into special-purpose ranges, in any notation → not connected to"),
    "H-10b": own("Answers that change between check and connect; CNAME loops; AAAA only; very many addresses"),
    "H-11a": own("Redirects to other schemes, ports, addresses, without end, or with odd text"),
    "H-11b": own("A redirect to https with a bad certificate"),
    "H-12": own("Targets that are silent, slow, endless, or reset → given up in time, bounded memory"),
    "H-13": own("What a target sent is quoted safely"),
    "H-14": own("tls-alpn-01: every answer that is not exactly right"),
    "H-15a": own("NXDOMAIN, SERVFAIL, silence → dns, tried again, never valid"),
    "H-15b": own("DNS answers that are cut off, or forged"),
    "H-15c": own("TXT in pieces, over-long names, wildcard records"),
  },
};

export const hostileNames: RequirementList = {
  document: "CSRs and names",
  requirements: {
    "H-16a": own("The key of an account, or a blocked key, in a CSR → badCSR"),
    "H-16b": own("Weak and malformed keys in a CSR → badCSR"),
    "H-17a": own("Extensions that a CSR asks for change nothing in the certificate"),
    "H-17b": own("Other attributes of a CSR, however large"),
    "H-18a": own("DNS names and addresses that are none"),
    "H-18b": own("SPIFFE IDs that are none"),
  },
};

export const hostileIssuance: RequirementList = {
  document: "Issuance, revocation, evidence",
  requirements: {
    "H-19": own(
      "Parallel finalizes, deactivation in between, a crash between signature and record → one certificate at most",
    ),
    "H-20a": own("Revoking what is another's, another CA's, or changed"),
    "H-20b": own("Revoking while it is being issued"),
    "H-25a": own("Evidence used again, for another account, order or key"),
    "H-25b": own("Evidence of another key, time or audience"),
    "H-25c": own("Tokens by unknown keys, alg confusion, jku and x5u → nothing is fetched"),
    "H-25d": own("Evidence that does not yield the identifier"),
    "H-26": own("A weaker challenge than the identifier demands"),
  },
};

export const hostileLoad: RequirementList = {
  document: "Load and input",
  requirements: {
    "H-21": own("Too large, too deep, too many, compressed, never ending"),
    "H-22": own("JSON of other dialects, __proto__, lone surrogates, members twice"),
    "H-24": own("Very many accounts, orders or validations against one victim → limits"),
    "H-30": own("The inventory: injection, cursors, page sizes, other tenants"),
    "H-31": own("Logs: no line breaks of strangers, no secrets at any level"),
    "H-32": own("Host and X-Forwarded headers change no URL"),
  },
};

export const hostileFaults: RequirementList = {
  document: "Faults",
  requirements: {
    "H-27": own("Clock jumps: no certificate longer than policy, none with negative validity"),
    "H-28": own("Token away, locked, slow, signing badly or with another key → nothing half issued"),
    "H-29": own("Database lost at each statement → recorded or not, never half; a retry is safe"),
    "H-33": own("SIGTERM while validating and signing → drained or taken up again"),
  },
};
