// Package fastverify checks Ed25519 signatures of keys that are known in
// advance, in about a third of the time of [crypto/ed25519.Verify] and with the
// same verdict. It is made for [webhook.Verifier]:
//
//	keys, err := webhook.ParseKeys(os.Getenv("TELNYX_PUBLIC_KEY"))
//	...
//	fast, err := fastverify.New(keys.Keys()...)
//	...
//	verifier := &webhook.Verifier{Keys: keys, VerifyFunc: fast.Verify}
//
// # When to use it
//
// Rarely. At a thousand webhooks a second the standard library's check takes
// less than a tenth of a processor, and the Go security team maintains it. Use
// this package where the check is what limits you, or to have room for strangers
// who send many requests with wrong signatures: each of those costs a check. Run
// it in shadow mode first ([Verifier.Shadow]).
//
// Nobody has audited this package. The arithmetic of the field and of scalars is
// that of filippo.io/edwards25519, which is derived from the standard library's;
// the tables and the sums are its own. It is not part of a FIPS 140 module: do not
// use it where one is required.
//
// All its inputs are public, so it takes no care to run in constant time. It
// must never be given a secret, and it cannot sign.
//
// # How it works
//
// A signature (R, S) of a message M is valid under a key A if R is the encoding
// of S·B - k·A, where B is the base point and k the SHA-512 of R, A and M. The
// standard library computes that sum by some 250 doublings and 100 additions.
// Here the multiples of B and of -A that can occur are in tables, so it is a sum
// of 72 entries without any doubling.
//
// The table of a key takes 192 KiB and 2 to 4 ms to make, once, when the key is
// added. That of B takes 576 KiB, is shared by all keys, and is made with the
// first one, in 5 ms.
//
// Process CPU time in units of ed25519.Verify of the same bytes (B), on Telnyx's
// documented deliveryUpdate event; medians of interleaved rounds on two shared
// cores of amd64, by
//
//	go test -run '^$' -bench 'Ratios|New' -benchtime 100x ./middleware/webhook/fastverify
//
//	the check                                        0.33-0.35 B
//	a whole event through webhook.Verifier           0.42-0.44 B
//	the same, by the standard library                1.08-1.11 B
//	the same, in shadow mode                         1.47-1.52 B
//
// # Which signatures are valid
//
// Libraries disagree about odd signatures. This package follows crypto/ed25519
// (FIPS 186-5 and RFC 8032 without the cofactor) in every rule:
//
//   - The key may be any encoding of a point, also one that is not canonical,
//     and a point of low order. [webhook.KeyRing] refuses both.
//   - S must be less than the order of B.
//   - S·B - k·A is not multiplied by the cofactor. Its canonical encoding must be
//     the bytes of R, so R is compared and never decoded.
//   - k is the digest of the bytes as received, reduced by the order of B, and an
//     A with a component of low order is multiplied by that integer.
//
// The tests compare the verdicts on the vectors of Wycheproof, of C2SP's CCTV and
// of "Taming the many EdDSAs" (speccheck), on combinations of such oddities, and
// by fuzzing: once for an hour, with a million inputs and no difference, and for
// seconds with each run of CI.
package fastverify
