// Package config turns a config.yaml into an immutable, compiled Config, or
// into diagnostics that each name the line and column at fault.
//
// Load is the only door: every command, the server and the tests use it. What
// comes out needs no further checking. Loading reads the file and those it
// names and touches no network.
package config
