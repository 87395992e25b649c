/** The configuration's one schema: it validates, types, and explains itself; `config/default.yaml` shows every key with its default. */
import { Type, type Static } from "typebox";

import { delegationSourceSchema } from "../attestation/delegation.ts";
import { sourceSchema } from "../attestation/registry.ts";
import { grantSchema } from "../authority/grants.ts";
import { profileSchema, type WrittenProfile } from "../authority/profile.ts";
import { keyKinds } from "../keys/keyAlgorithms.ts";
import { offerableChallenges } from "./challenges.ts";
import { directorySchema } from "./directories.ts";
import { issuersSection, rootLineKeys } from "./issuers.ts";
import { pkcs11Section } from "./pkcs11.ts";
import { rateLimitsSection } from "./rateLimits.ts";
import { revocationSection } from "./revocation.ts";
import { file, integer, section } from "./sections.ts";

const domainName = Type.String({
  maxLength: 253,
  pattern: "^[a-z0-9](-*[a-z0-9]){0,62}(\\.[a-z0-9](-*[a-z0-9]){0,62})*$",
});

export const configurationSchema = section({
  listen: Type.String({
    default: "localhost:8443",
    pattern: "^(\\[[0-9a-fA-F:.]+\\]|[^:\\[\\]\\s]+):[0-9]{1,5}$",
    description: "host:port to listen on.",
  }),
  externalUrl: Type.Optional(
    Type.String({
      pattern: "^https://[^/\\s?#@]+/?$",
      description: "What clients see; every URL the server emits starts with it. Default: https:// and `listen`.",
    }),
  ),
  dataDir: Type.String({ minLength: 1, default: "data", description: "Folder of the server's own state." }),
  trustDomain: Type.String({
    minLength: 1,
    maxLength: 255,
    default: "mayfly.localhost",
    description: "SPIFFE trust domain.",
  }),
  log: section({
    level: Type.Enum(["fatal", "error", "warn", "info", "debug", "silent"], {
      default: "warn",
      description: "Least severity that is logged.",
    }),
  }),
  tls: section({
    mode: Type.Enum(["auto", "files", "off"], {
      default: "auto",
      description:
        "auto: a certificate of our own, renewed by itself. files: certificateFile and keyFile. off: plain HTTP behind a TLS proxy.",
    }),
    certificateFile: file("PEM chain, leaf first."),
    keyFile: file("PEM private key."),
  }),
  http: section({
    maxConnections: integer(
      "Connections at the same time; one more is closed at once. Keep it well below the process's limit of open files.",
      16,
      1_000_000,
      4_000,
    ),
    reusePort: Type.Boolean({
      default: false,
      description: "Lets other servers of the same user listen on the same port; the kernel spreads the connections.",
    }),
    trustedProxies: Type.Array(Type.String({ minLength: 1, maxLength: 50 }), {
      default: [],
      maxItems: 100,
      description:
        "Addresses and networks of proxies whose X-Forwarded-For is believed. None: the connection's own address counts.",
    }),
  }),
  database: section({
    url: Type.Optional(
      Type.String({
        pattern: "^postgres(ql)?://",
        description: "PostgreSQL 15 or later. Without it, an embedded server runs in dataDir.",
      }),
    ),
    urlFile: file("File that holds the URL, where it contains a password."),
    poolSize: integer("Connections, a quarter of them for searches.", 3, 200, 16),
    statementTimeoutMs: integer("Postgres cancels a statement that takes longer.", 100, 600_000, 10_000),
  }),
  keys: section({
    provider: Type.Enum(["development", "pkcs11"], {
      default: "development",
      description: "development: encrypted key files, for development only. pkcs11: an HSM or other token.",
    }),
    label: Type.String({
      minLength: 1,
      maxLength: 64,
      default: "mayfly-issuing",
      description: "Label of the issuing key; the root's key is this with -root behind it.",
    }),
    development: section({
      directory: file("Folder of the key files. Default: keys in dataDir."),
      passphraseFile: file("File of the passphrase. Default: key-passphrase in dataDir."),
    }),
    postQuantum: section({
      directory: file(
        "Folder of key files for ML-DSA where the token lacks it. None: no such keys outside of the token.",
      ),
      passphraseFile: file("File of their passphrase. Default: post-quantum-passphrase in dataDir."),
    }),
    selfTestIntervalSeconds: integer("Each issuing key signs a test this often.", 5, 86_400, 60),
    pkcs11: pkcs11Section,
  }),
  hierarchy: section({
    keyKind: Type.Enum([...keyKinds], {
      default: keyKinds[0],
      description:
        "Kind of the keys of CAs that are made, and so what they sign with; a line of issuers may have another.",
    }),
    rootLifetimeDays: integer("Lifetime of the root CAs that are made.", 1, 10_950, 3650),
    issuingLifetimeDays: integer("Lifetime of the issuing CAs that are made.", 1, 10_950, 1825),
    ...rootLineKeys,
    alternateChainFiles: Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), {
      default: [],
      maxItems: 10,
      description: "PEM files, each a chain that starts with a certificate for the issuing CA's or the root's key.",
    }),
  }),
  issuers: issuersSection,
  profiles: Type.Record(Type.String({ pattern: "^[a-z][a-z0-9-]{0,39}$" }), profileSchema, {
    propertyNames: { pattern: "^[a-z][a-z0-9-]{0,39}$" },
    minProperties: 1,
    description: "What certificates may be; name → profile. The first that fits an order is its default.",
  }),
  acme: section({
    termsOfService: Type.Optional(
      Type.String({ pattern: "^https?://", description: "URL; when set, newAccount must agree to it." }),
    ),
    website: Type.Optional(
      Type.String({ pattern: "^https?://", description: "Shown in the directory. Default: externalUrl." }),
    ),
    externalAccountRequired: Type.Boolean({
      default: false,
      description: "A new account needs an external account binding, with a key from `mayfly eab create`.",
    }),
    externalAccountSealingKeyFile: file(
      "File of the key that seals MAC keys in the database; made when absent. Default: external-account-sealing-key in dataDir.",
    ),
    bodyLimitBytes: integer("Largest ACME request, evidence apart.", 8192, 262_144, 50_000),
    identifiersPerOrder: integer("Names in one order.", 1, 1000, 100),
    contactsPerAccount: integer("Contacts of one account.", 0, 100, 10),
    ordersPerPage: integer("Orders in one page of an account's list.", 1, 1000, 100),
    orderLifetimeSeconds: integer(
      "How long an order for DNS names or addresses stays open, and a validated name counts.",
      60,
      2_592_000,
      86_400,
    ),
    attestationChallengeSeconds: integer("How long a workload-attest-01 challenge stays open.", 5, 300, 300),
    attestedAuthorizationSeconds: integer("How long an attested authorization may be finalized.", 5, 600, 300),
    reuseAuthorizations: Type.Boolean({
      default: false,
      description: "A valid authorization of one order counts for the account's other orders (dns and ip).",
    }),
    subdomainAuthorizations: Type.Boolean({
      default: false,
      description: "An authorization may stand for the names below its own (RFC 9444).",
    }),
    challenges: Type.Array(Type.Enum(offerableChallenges), {
      default: ["http-01", "dns-01", "tls-alpn-01"],
      minItems: 1,
      uniqueItems: true,
      description: "Challenges that are offered for DNS names and addresses, each where it can prove them.",
    }),
    issuerDomainNames: Type.Array(domainName, {
      default: [],
      maxItems: 10,
      uniqueItems: true,
      description: "Names of this CA in records of dns-persist-01. Default: caaIdentities, or the host of externalUrl.",
    }),
    caaIdentities: Type.Array(domainName, {
      default: [],
      maxItems: 10,
      uniqueItems: true,
      description: "Domain names by which CAA records name this CA (RFC 8659). None: CAA records are not looked at.",
    }),
    directories: Type.Array(directorySchema, {
      default: [],
      maxItems: 100,
      description: "Further directories beside the one at /acme/directory.",
    }),
    rateLimits: rateLimitsSection,
  }),
  validation: section({
    http01Port: integer("TCP port that http-01 connects to.", 1, 65_535, 80),
    tlsAlpn01Port: integer("TCP port that tls-alpn-01 connects to.", 1, 65_535, 443),
    dnsResolver: Type.Optional(
      Type.String({
        pattern: "^(\\[[0-9a-fA-F:.]+\\]|[^:\\[\\]\\s/]+):[0-9]{1,5}$",
        description: "host:port of the DNS resolver. Default: the system's.",
      }),
    ),
    dnsTransport: Type.Enum(["udp", "tcp"], {
      default: "udp",
      description: "udp: over UDP, and over TCP where an answer is truncated. tcp: over TCP alone.",
    }),
    allowPrivate: Type.Boolean({
      default: false,
      description: "Validation may reach private, loopback and other special-purpose addresses.",
    }),
    allowLocalhostNames: Type.Boolean({
      default: false,
      description: "Names under .localhost validate at loopback (RFC 6761).",
    }),
    timeoutMs: integer("Deadline of one validation attempt.", 100, 10_000, 8_000),
    attempts: integer("How often a connection or lookup that failed is tried (RFC 8555 §8.2).", 1, 10, 3),
    retryDelayMs: integer("Pause before the second attempt; doubled before each further one.", 0, 60_000, 1_000),
    patienceMs: integer(
      "How long a response to a challenge waits for its validation before it answers `processing`.",
      0,
      10_000,
      800,
    ),
  }),
  attestation: section({
    audience: Type.Optional(
      Type.String({ minLength: 1, maxLength: 300, description: "Audience of evidence. Default: externalUrl and /wa." }),
    ),
    developmentSource: Type.Boolean({
      default: false,
      description:
        "A local OIDC issuer (ref dev) whose private key lies in dataDir, with a grant for spiffe://<trust domain>/dev/<subject>. Whoever reads that key gets any such identity.",
    }),
    allowPrivate: Type.Boolean({
      default: true,
      description:
        "Key sets may be fetched from private, link-local and loopback addresses, as issuers in a cluster have.",
    }),
    sources: Type.Array(sourceSchema, { default: [], maxItems: 100, description: "Evidence sources." }),
  }),
  delegation: section({
    sources: Type.Array(delegationSourceSchema, {
      default: [],
      maxItems: 16,
      description: "Issuers of tokens that say on whose behalf a workload acts. None: delegations are not taken.",
    }),
    pseudonymKeyFile: file(
      "File of the key of pseudonyms; made when absent, the same on all servers. Default: delegation-pseudonym-key in dataDir.",
    ),
  }),
  grants: Type.Array(grantSchema, {
    default: [],
    maxItems: 1000,
    description: "Who may have which SPIFFE ID. None: nobody has any.",
  }),
  revocation: revocationSection,
  access: section({
    operatorTokenFile: file(
      "File of the operator's bearer token; made when absent. Default: operator-token in dataDir.",
    ),
  }),
});

/** The configuration as written, with defaults filled in. */
export type RawConfiguration = Static<typeof configurationSchema>;

/** Profiles where the file names none. */
export const defaultProfiles: Readonly<Record<string, WrittenProfile>> = {
  workload: {
    description: "SPIFFE X.509-SVID for a workload, 15 minutes unless asked otherwise",
    identifiers: ["uri", "dns", "ip"],
    lifetimeDefaultSeconds: 900,
    lifetimeMinSeconds: 60,
    lifetimeMaxSeconds: 86_400,
    backdateSeconds: 30,
    keyKinds: ["ec-p256", "ec-p384", "ed25519", "rsa"],
    extendedKeyUsage: ["serverAuth", "clientAuth"],
  },
  server: {
    description: "TLS server certificate for DNS names and IP addresses, 24 hours unless asked otherwise",
    identifiers: ["dns", "ip"],
    lifetimeDefaultSeconds: 86_400,
    lifetimeMinSeconds: 60,
    lifetimeMaxSeconds: 604_800,
    backdateSeconds: 60,
    keyKinds: ["ec-p256", "ec-p384", "ed25519", "rsa"],
    extendedKeyUsage: ["serverAuth"],
  },
};
