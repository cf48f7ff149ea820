// Package idtoken verifies ID tokens: a strict parse, the issuer's name looked
// up byte for byte, cheap checks that can only reject, the signature by way of
// go-oidc, and then every policy once more on the bytes that were signed.
//
// It is the only package that imports go-oidc, for discovery and for its
// verifier.
package idtoken
