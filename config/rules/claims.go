package rules

import "time"

// Claims are a token's claims as decoded from strict JSON: nil, bool, string,
// int64, float64, Unrepresentable, []any and map[string]any. An integer
// literal is an int64, exactly; any other number is a float64. A claim that is
// nil counts as absent wherever rules read it.
type Claims map[string]any

// Time returns the named claim as the time that it is (NumericDate, RFC 7519
// §2), in whole seconds.
func (c Claims) Time(name string) (t time.Time, ok bool) { return timeOf(c[name]) }

// Unrepresentable stands for a number that fits neither int64 nor float64
// exactly as written. Whatever reads it is undecided.
type Unrepresentable struct{}

// TypeName names the type of a claim's value.
func TypeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case string:
		return "string"
	case int64:
		return "int"
	case float64:
		return "double"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "number that is too large"
}
