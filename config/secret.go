package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a Secret would be printed.
const redacted = "<secret>"

// A Secret is a string that no formatter, encoder or logger can print; only
// Reveal gives it out. The zero Secret is not set.
//
// It is a struct around a pointer: fmt prints unexported fields by reflection
// without asking their methods, and then there is only an address to print.
type Secret struct{ value *string }

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{&s} }

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.value != nil }

// Reveal returns the secret, or "" when not set.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, which JSON, XML and others
// use.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
