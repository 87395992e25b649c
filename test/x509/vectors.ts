/**
 * Fixed inputs, made once with `openssl req`, and seeded single-byte mutations of them.
 */

/** P-256; CN, two DNS names, two addresses, a SPIFFE ID and a key usage. */
export const opensslCsr = Buffer.from(
  "MIIBYDCCAQUCAQAwJjEQMA4GA1UECgwHRXhhbXBsZTESMBAGA1UEAwwJYS5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEHAHpU0bwu4haxYQ4mAbtSh2uSUgHnbHLVbOHLSfd/XSQyW5MXARvfVpz1SrgmKNLs//S7zaLm9yGSXiBgyPKlaB9MHsGCSqGSIb3DQEJDjFuMGwwXQYDVR0RBFYwVIIJYS5leGFtcGxlggsqLmIuZXhhbXBsZYcEwAACB4cQIAENuAAAAAAAAAAAAAAAAYYic3BpZmZlOi8vdGQuZXhhbXBsZS9ucy9wcm9kL3NhL3dlYjALBgNVHQ8EBAMCB4AwCgYIKoZIzj0EAwIDSQAwRgIhAJPhEvA2Y5QLzqKty+5Lt60kOqZutkFHe6Zrf24UuHXYAiEAzuLJjHAlyajxz5YhUDUfLDq7FDQVPbndR3p0fTfAKKc=",
  "base64",
);

/** Self-signed P-256; serial 4f00112233445566778899aabbccddee, critical key usage, both purposes, three names. */
export const opensslCertificate = Buffer.from(
  "MIICDjCCAbSgAwIBAgIQTwARIjNEVWZ3iJmqu8zd7jAKBggqhkjOPQQDAjAmMRAwDgYDVQQKDAdFeGFtcGxlMRIwEAYDVQQDDAlhLmV4YW1wbGUwHhcNMjYxMTI0MTUwMTQ5WhcNMjYxMjI0MTUwMTQ5WjAmMRAwDgYDVQQKDAdFeGFtcGxlMRIwEAYDVQQDDAlhLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQcAelTRvC7iFrFhDiYBu1KHa5JSAedsctVs4ctJ939dJDJbkxcBG99WnPVKuCYo0uz/9LvNoub3IZJeIGDI8qVo4HDMIHAMB0GA1UdDgQWBBR0b1fYK3h+8KJoRZWcNEs/e0QvOjAfBgNVHSMEGDAWgBR0b1fYK3h+8KJoRZWcNEs/e0QvOjAPBgNVHRMBAf8EBTADAQH/MD4GA1UdEQQ3MDWCCWEuZXhhbXBsZYcEwAACB4Yic3BpZmZlOi8vdGQuZXhhbXBsZS9ucy9wcm9kL3NhL3dlYjAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMCMAoGCCqGSM49BAMCA0gAMEUCIHWkca8eWDkHYdgbY2SlwNY3/V7rwJo4YEznFuEH9S0rAiEAgq9emrxVDuNlQ1llvt5a5ig9bRq21+gHi+b835ePPio=",
  "base64",
);

/** `count` copies of `bytes`, each with one octet changed; the same ones for the same seed. */
export function* mutationsOf(bytes: Buffer, count: number, seed: number): Generator<Buffer> {
  let state = seed >>> 0;
  // A linear congruential generator (Numerical Recipes): good enough to spread over positions and values.
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  for (let i = 0; i < count; i++) {
    const mutant = Buffer.from(bytes);
    const at = below(mutant.length);
    mutant[at] = (mutant[at] ?? 0) ^ (1 + below(255));
    yield mutant;
  }
}
