package rules

import (
	"errors"
	"fmt"
)

// A Reason says why an exchange was refused. Reasons are part of the HTTP
// contract: a caller reads them, so the words never change.
type Reason string

// The caller should sign in again.
const (
	BadSignature Reason = "bad_signature"
	TokenExpired Reason = "token_expired"
	TokenTooOld  Reason = "token_too_old"
	Replayed     Reason = "replayed"
	LoggedOut    Reason = "logged_out"
)

// The caller may try the same request again later.
const (
	TokenNotYetValid Reason = "token_not_yet_valid"
	RateLimited      Reason = "rate_limited"
	KeysUnavailable  Reason = "keys_unavailable"
	StoreUnavailable Reason = "store_unavailable"
	AuditUnavailable Reason = "audit_unavailable"
	Overloaded       Reason = "overloaded"
	Internal         Reason = "internal"
)

// The person is who they say, and gets nothing.
const (
	AmbiguousClaim    Reason = "ambiguous_claim"
	ClaimsUnavailable Reason = "claims_unavailable"
	RequirementFailed Reason = "requirement_failed"
	Denied            Reason = "denied"
	NoRule            Reason = "no_rule"
	RuleFailed        Reason = "rule_failed"
	IdentityInvalid   Reason = "identity_invalid"
)

// The request itself is wrong.
const (
	MalformedRequest     Reason = "malformed_request"
	MalformedToken       Reason = "malformed_token"
	UnsupportedToken     Reason = "unsupported_token"
	UnknownIssuer        Reason = "unknown_issuer"
	WrongAudience        Reason = "wrong_audience"
	WrongAZP             Reason = "wrong_azp"
	InvalidParameter     Reason = "invalid_parameter"
	OriginNotAllowed     Reason = "origin_not_allowed"
	UnsupportedGrantType Reason = "unsupported_grant_type"
	InvalidScope         Reason = "invalid_scope"
	InvalidTarget        Reason = "invalid_target"
)

// A Refusal is the error of an exchange that was refused. Detail is for the
// operator's log and for explain: it may name a rule, a claim or a check, and
// never holds a claim's value, a token or a secret.
type Refusal struct {
	Reason Reason
	Detail string
}

func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }

// Refuse returns a *Refusal whose detail is formatted as by fmt.Sprintf.
func Refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// ReasonOf returns the reason of err: that of the Refusal it wraps, Internal
// for any other error, and "" for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return Internal
}
