package exchange

import (
	"errors"
	"math"
	"net/http"
	"strings"

	"twilio-sts/config/rules"
)

// What a caller can do about a refusal.
const (
	reauthenticate = "reauthenticate" // sign in again, then exchange the new ID token
	retry          = "retry"          // the same request may succeed later
	forbidden      = "forbidden"      // this person does not get a token
	fixRequest     = "fix_request"    // the program that sent this is wrong
)

// A verdict is how a refusal is answered over HTTP.
type verdict struct {
	action      string
	status      int
	code        string // OAuth's error word, RFC 6749 §5.2 and RFC 8693 §2.2.2
	description string
}

// verdicts is the one place where a reason becomes an answer. RFC 8693 §2.2.2
// makes invalid_request the word for a subject token that is invalid for any
// reason or unacceptable by policy, with status 400; 401 would make some
// clients discard the login. The descriptions tell nothing that the reason
// does not.
var verdicts = map[rules.Reason]verdict{
	rules.BadSignature: {reauthenticate, 400, "invalid_request", "the ID token's signature is not valid"},
	rules.TokenExpired: {reauthenticate, 400, "invalid_request", "the ID token has expired"},
	rules.TokenTooOld:  {reauthenticate, 400, "invalid_request", "the ID token is too old or was issued for too long"},
	rules.Replayed:     {reauthenticate, 400, "invalid_request", "the ID token was used too often"},
	rules.LoggedOut:    {reauthenticate, 400, "invalid_request", "the session of this ID token has ended"},

	rules.TokenNotYetValid: {retry, 400, "invalid_request", "the ID token is not valid yet"},
	rules.RateLimited:      {retry, 429, "temporarily_unavailable", "too many requests"},
	rules.KeysUnavailable:  {retry, 503, "temporarily_unavailable", "the identity provider's keys are not available"},
	rules.StoreUnavailable: {retry, 503, "temporarily_unavailable", "a part of this service is not available"},
	rules.AuditUnavailable: {retry, 503, "temporarily_unavailable", "a part of this service is not available"},
	rules.Overloaded:       {retry, 503, "temporarily_unavailable", "this service is overloaded"},
	rules.Internal:         {retry, 500, "server_error", "something went wrong here"},

	rules.AmbiguousClaim:    {forbidden, 400, "invalid_request", "the ID token holds a claim under two spellings"},
	rules.ClaimsUnavailable: {forbidden, 400, "invalid_request", "the ID token lacks claims that were too many for it"},
	rules.RequirementFailed: {forbidden, 400, "invalid_request", "the ID token does not meet the requirements"},
	rules.Denied:            {forbidden, 400, "invalid_request", "access is denied"},
	rules.NoRule:            {forbidden, 400, "invalid_request", "nothing is granted to this person"},
	rules.RuleFailed:        {forbidden, 400, "invalid_request", "the rules do not come to a result for this person"},
	rules.IdentityInvalid:   {forbidden, 400, "invalid_request", "this person has no identity that Twilio would take"},

	rules.MalformedRequest:     {fixRequest, 400, "invalid_request", "the request is malformed"},
	rules.MalformedToken:       {fixRequest, 400, "invalid_request", "the ID token is malformed"},
	rules.UnsupportedToken:     {fixRequest, 400, "invalid_request", "this kind of token is not accepted"},
	rules.UnknownIssuer:        {fixRequest, 400, "invalid_request", "the ID token's issuer is not known here"},
	rules.WrongAudience:        {fixRequest, 400, "invalid_request", "the ID token was issued for another audience"},
	rules.WrongAZP:             {fixRequest, 400, "invalid_request", "the ID token was issued to another client"},
	rules.InvalidParameter:     {fixRequest, 400, "invalid_request", "a parameter's value is not accepted"},
	rules.OriginNotAllowed:     {fixRequest, 403, "invalid_request", "this origin is not allowed"},
	rules.UnsupportedGrantType: {fixRequest, 400, "unsupported_grant_type", "grant_type is not urn:ietf:params:oauth:grant-type:token-exchange"},
	rules.InvalidScope:         {fixRequest, 400, "invalid_scope", "scope asks for what is not granted"},
	rules.InvalidTarget:        {fixRequest, 400, "invalid_target", "resource and audience are not supported"},
}

// retryAfterSeconds is how long a caller is asked to wait when the service or
// something it depends on is not available.
const retryAfterSeconds = 5

// retryAfter returns how many seconds a caller is asked to wait.
func retryAfter(err error) int {
	var r *rateError
	if errors.As(err, &r) {
		return int(math.Ceil(r.wait.Seconds()))
	}
	return retryAfterSeconds
}

// A requestError is a refusal of the request itself, before any token was
// read. Its detail speaks of the request's form alone, so the caller may read
// it. Status is 0 where the table's holds.
type requestError struct {
	refusal rules.Refusal
	status  int
}

func (e *requestError) Error() string { return e.refusal.Error() }
func (e *requestError) Unwrap() error { return &e.refusal }

func malformed(detail string) error {
	return &requestError{refusal: rules.Refusal{Reason: rules.MalformedRequest, Detail: detail}}
}

func malformedWith(status int, detail string) error {
	return &requestError{refusal: rules.Refusal{Reason: rules.MalformedRequest, Detail: detail}, status: status}
}

// errorBody is the JSON of an error answer.
type errorBody struct {
	Error       string       `json:"error"`
	Description string       `json:"error_description"`
	Reason      rules.Reason `json:"reason"`
	Action      string       `json:"action"`
	TraceID     string       `json:"trace_id"`
}

// answerTo turns err into a status and a body: the only way from an error to
// HTTP. An error that is not a refusal says nothing of itself.
func answerTo(err error, traceID string) (status int, body errorBody) {
	reason := rules.ReasonOf(err)
	v, ok := verdicts[reason]
	if !ok {
		reason, v = rules.Internal, verdicts[rules.Internal]
	}
	status, description := v.status, v.description
	var r *requestError
	if errors.As(err, &r) {
		description = describable(r.refusal.Detail)
		if r.status != 0 {
			status = r.status
		}
	}
	return status, errorBody{v.code, description, reason, v.action, traceID}
}

// waits reports whether status asks the caller to come back.
func waits(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// describable leaves out what RFC 6749 §5.2 does not allow in
// error_description.
func describable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}
