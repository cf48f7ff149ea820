// Package devidp is an OpenID provider for development: personas in the place
// of people, and no passwords. It is unfit for anything else on purpose: it
// refuses an address that is not loopback, and callers that are not on this
// machine.
package devidp
