// Package jwks keeps an issuer's signing keys and checks signatures with them.
//
// A key set refreshes itself in the background, so that a request seldom waits
// for a provider and never depends on one that answered before. What strangers
// send can cause at most one bounded, rare fetch of a configured URL. A
// provider that is down, hangs or answers rubbish takes no working key away
// until the keys are a day old; then nothing is accepted at all.
package jwks
