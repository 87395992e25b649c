/** All lints of leaf certificates: those about the bytes in the order of a certificate's fields, then those about the decision. */
import { authorityInfoAccessHttp } from "./authorityInfoAccessHttp.ts";
import { authorityInfoAccessNotCritical } from "./authorityInfoAccessNotCritical.ts";
import { authorityKeyIdentifierNotCritical } from "./authorityKeyIdentifierNotCritical.ts";
import { authorityKeyIdentifierOfIssuer } from "./authorityKeyIdentifierOfIssuer.ts";
import { authorityKeyIdentifierPresent } from "./authorityKeyIdentifierPresent.ts";
import { basicConstraintsOfLeaf } from "./basicConstraintsOfLeaf.ts";
import { basicConstraintsPresent } from "./basicConstraintsPresent.ts";
import { commonNameInNames } from "./commonNameInNames.ts";
import { commonNameLength } from "./commonNameLength.ts";
import { crlDistributionPointOfSerial } from "./crlDistributionPointOfSerial.ts";
import { crlDistributionPointsHttp } from "./crlDistributionPointsHttp.ts";
import { crlDistributionPointsNotCritical } from "./crlDistributionPointsNotCritical.ts";
import { dnsNameLowerCase } from "./dnsNameLowerCase.ts";
import { dnsNameNotAddress } from "./dnsNameNotAddress.ts";
import { dnsNameSyntax } from "./dnsNameSyntax.ts";
import { dnsNameUnderscore } from "./dnsNameUnderscore.ts";
import { dnsNameWildcard } from "./dnsNameWildcard.ts";
import { ecCurve } from "./ecCurve.ts";
import { ecPoint } from "./ecPoint.ts";
import { everyNameIsProved } from "./everyNameIsProved.ts";
import { extendedKeyUsageNotAny } from "./extendedKeyUsageNotAny.ts";
import { extendedKeyUsageNotCritical } from "./extendedKeyUsageNotCritical.ts";
import { extendedKeyUsageOfProfile } from "./extendedKeyUsageOfProfile.ts";
import { extendedKeyUsageOfSvid } from "./extendedKeyUsageOfSvid.ts";
import { extensionsKnown } from "./extensionsKnown.ts";
import { extensionsOnce } from "./extensionsOnce.ts";
import { extensionsReadable } from "./extensionsReadable.ts";
import { identifierTypesOfProfile } from "./identifierTypesOfProfile.ts";
import { issuerIsTheSubject } from "./issuerIsTheSubject.ts";
import { issuerMayIssue } from "./issuerMayIssue.ts";
import { issuerNotEmpty } from "./issuerNotEmpty.ts";
import { issuerOfProfile } from "./issuerOfProfile.ts";
import { issuerOutlivesLeaf } from "./issuerOutlivesLeaf.ts";
import { keyAlgorithm } from "./keyAlgorithm.ts";
import { keyIsTheApprovedOne } from "./keyIsTheApprovedOne.ts";
import { keyKindOfProfile } from "./keyKindOfProfile.ts";
import { keyNotOfIssuer } from "./keyNotOfIssuer.ts";
import { keyUsageCritical } from "./keyUsageCritical.ts";
import { keyUsageFitsKey } from "./keyUsageFitsKey.ts";
import { keyUsageOfLeaf } from "./keyUsageOfLeaf.ts";
import { keyUsageOfProfile } from "./keyUsageOfProfile.ts";
import { keyUsageOfSvid } from "./keyUsageOfSvid.ts";
import { keyUsagePresent } from "./keyUsagePresent.ts";
import { lifetimeAtLeast } from "./lifetimeAtLeast.ts";
import { lifetimeAtMost } from "./lifetimeAtMost.ts";
import { lifetimeWithinGrant } from "./lifetimeWithinGrant.ts";
import { namesAreTheAuthorizedOnes } from "./namesAreTheAuthorizedOnes.ts";
import { nameWithinGrant } from "./nameWithinGrant.ts";
import { noRevAvailAlone } from "./noRevAvailAlone.ts";
import { noRevAvailNotCritical } from "./noRevAvailNotCritical.ts";
import { notAfterWithinEvidence } from "./notAfterWithinEvidence.ts";
import { notBeforeNotAhead } from "./notBeforeNotAhead.ts";
import { notBeforeNotPast } from "./notBeforeNotPast.ts";
import { notEndedYet } from "./notEndedYet.ts";
import { ocspOfIssuer } from "./ocspOfIssuer.ts";
import { policiesOfProfile } from "./policiesOfProfile.ts";
import { purposesFitKeyUsage } from "./purposesFitKeyUsage.ts";
import { recordIsTheCertificate } from "./recordIsTheCertificate.ts";
import { revocationOfProfile } from "./revocationOfProfile.ts";
import { rsaExponent } from "./rsaExponent.ts";
import { rsaModulus } from "./rsaModulus.ts";
import { serialDayOfNotAfter } from "./serialDayOfNotAfter.ts";
import { serialEntropy } from "./serialEntropy.ts";
import { serialNotConstant } from "./serialNotConstant.ts";
import { serialPositive } from "./serialPositive.ts";
import { serialTwentyOctets } from "./serialTwentyOctets.ts";
import { signatureOfIssuer } from "./signatureOfIssuer.ts";
import { signatureStrong } from "./signatureStrong.ts";
import { subjectAltNameCriticality } from "./subjectAltNameCriticality.ts";
import { subjectAltNameKinds } from "./subjectAltNameKinds.ts";
import { subjectAltNameOnce } from "./subjectAltNameOnce.ts";
import { subjectAltNamePresent } from "./subjectAltNamePresent.ts";
import { subjectKeyIdentifierNotCritical } from "./subjectKeyIdentifierNotCritical.ts";
import { subjectKeyIdentifierOfKey } from "./subjectKeyIdentifierOfKey.ts";
import { subjectKeyIdentifierPresent } from "./subjectKeyIdentifierPresent.ts";
import { subjectOfProfile } from "./subjectOfProfile.ts";
import { svidOfProfile } from "./svidOfProfile.ts";
import { svidOneUri } from "./svidOneUri.ts";
import { svidSpiffeId } from "./svidSpiffeId.ts";
import { svidTrustDomain } from "./svidTrustDomain.ts";
import { uniqueIdentifiersAbsent } from "./uniqueIdentifiersAbsent.ts";
import { uriAbsolute } from "./uriAbsolute.ts";
import { validityAsAsked } from "./validityAsAsked.ts";
import { validityEncoding } from "./validityEncoding.ts";
import { validityOrder } from "./validityOrder.ts";
import { version3 } from "./version3.ts";
import type { Lint } from "./lint.ts";

export const lintList: readonly Lint[] = [
  version3,
  serialPositive,
  serialTwentyOctets,
  serialEntropy,
  serialNotConstant,
  serialDayOfNotAfter,
  signatureOfIssuer,
  signatureStrong,
  issuerNotEmpty,
  issuerIsTheSubject,
  validityEncoding,
  validityOrder,
  issuerOutlivesLeaf,
  uniqueIdentifiersAbsent,
  extensionsOnce,
  extensionsKnown,
  extensionsReadable,
  authorityKeyIdentifierPresent,
  authorityKeyIdentifierOfIssuer,
  authorityKeyIdentifierNotCritical,
  subjectKeyIdentifierPresent,
  subjectKeyIdentifierOfKey,
  subjectKeyIdentifierNotCritical,
  basicConstraintsPresent,
  basicConstraintsOfLeaf,
  keyUsagePresent,
  keyUsageCritical,
  keyUsageOfLeaf,
  keyUsageFitsKey,
  keyUsageOfSvid,
  extendedKeyUsageNotAny,
  extendedKeyUsageNotCritical,
  extendedKeyUsageOfSvid,
  purposesFitKeyUsage,
  subjectAltNamePresent,
  subjectAltNameCriticality,
  subjectAltNameKinds,
  subjectAltNameOnce,
  dnsNameSyntax,
  dnsNameUnderscore,
  dnsNameWildcard,
  dnsNameNotAddress,
  dnsNameLowerCase,
  uriAbsolute,
  svidOneUri,
  svidSpiffeId,
  svidTrustDomain,
  commonNameInNames,
  commonNameLength,
  rsaModulus,
  rsaExponent,
  ecCurve,
  ecPoint,
  keyAlgorithm,
  keyNotOfIssuer,
  noRevAvailNotCritical,
  noRevAvailAlone,
  crlDistributionPointsNotCritical,
  crlDistributionPointsHttp,
  crlDistributionPointOfSerial,
  authorityInfoAccessNotCritical,
  authorityInfoAccessHttp,
  ocspOfIssuer,
  recordIsTheCertificate,
  lifetimeAtMost,
  lifetimeAtLeast,
  lifetimeWithinGrant,
  notAfterWithinEvidence,
  validityAsAsked,
  notBeforeNotPast,
  notBeforeNotAhead,
  notEndedYet,
  namesAreTheAuthorizedOnes,
  everyNameIsProved,
  identifierTypesOfProfile,
  svidOfProfile,
  subjectOfProfile,
  keyUsageOfProfile,
  extendedKeyUsageOfProfile,
  policiesOfProfile,
  keyIsTheApprovedOne,
  keyKindOfProfile,
  revocationOfProfile,
  nameWithinGrant,
  issuerOfProfile,
  issuerMayIssue,
];
