/** The keys of the section `revocation` that are about OCSP. */
import { Type } from "typebox";

import { integer } from "./sections.ts";

export const ocspKeys = {
  ocspLifetimeSeconds: integer("From thisUpdate to nextUpdate of an OCSP response.", 600, 864_000, 14_400),
  ocspNonce: Type.Enum(["ignore", "answer"], {
    default: "ignore",
    description:
      "A request with a nonce (RFC 9654). ignore: the response that is there, without one. answer: a response of its own, while there are signatures for it.",
  }),
  ocspSignaturesPerSecond: integer("OCSP responses that requests may have signed, per second.", 1, 10_000, 200),
  ocspCacheSeconds: integer(
    "How long proxies and clients may keep an OCSP response without asking again.",
    0,
    86_400,
    300,
  ),
  ocspMemoryBytes: integer("OCSP responses that are kept in memory.", 65_536, 17_179_869_184, 67_108_864),
};
