// Package rules is the decision: claims in, Decision out.
//
// It is pure. It knows no file, network, clock, log or YAML: the configuration
// hands it a Spec of texts, Compile turns that into an immutable Set, and the
// Set answers from its arguments alone. The same Set serves the exchange, the
// tests in a configuration and every command, so there is no second reading of
// what a rule means.
//
// A condition that cannot be evaluated is undecided, never true: it grants
// nothing, and where it could have refused it refuses.
package rules
