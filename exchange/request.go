package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"twilio-sts/config/rules"
)

// maxBody bounds a request's body, in bytes: an ID token of 16 KiB and room for
// parameters.
const maxBody = 32 << 10

// The words of RFC 8693.
const (
	grantTypeTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	tokenTypeIDToken       = "urn:ietf:params:oauth:token-type:id_token"
	tokenTypeJWT           = "urn:ietf:params:oauth:token-type:jwt"
	tokenTypeAccessToken   = "urn:ietf:params:oauth:token-type:access_token"
)

// A Request is one exchange as it was asked for.
type Request struct {
	SubjectToken       string
	RequestedTokenType string            // tokenTypeAccessToken or tokenTypeJWT
	Scope              []string          // kinds of grant wanted; empty means all
	Parameters         map[string]string // all that was sent, but for empty ones
	Origin             string            // of the page that asks; "" outside browsers
	Address            string            // the client's IP address
	TraceID            string
}

// The media types a request may have; noBody is that of an empty body.
const (
	noBody   = ""
	formBody = "application/x-www-form-urlencoded"
	jsonBody = "application/json"
)

// readBody reads the body of a request to /token within maxBody. Its errors
// are those that come before all others: method, media type and size.
func readBody(w http.ResponseWriter, r *http.Request) (mediaType string, body []byte, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return "", nil, malformedWith(http.StatusMethodNotAllowed, "the token endpoint takes POST")
	}
	mediaType, err = mediaTypeOf(r.Header)
	if err != nil {
		return "", nil, err
	}
	body, err = readLimited(w, r)
	if err == nil && mediaType == noBody && len(body) > 0 {
		err = malformedWith(http.StatusUnsupportedMediaType, "the body has no Content-Type")
	}
	return mediaType, body, err
}

// readLimited reads a body of at most maxBody bytes.
func readLimited(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, malformedWith(http.StatusRequestEntityTooLarge, "the body is larger than 32 KiB")
	case err != nil:
		return nil, malformed("the body could not be read")
	}
	return body, nil
}

func mediaTypeOf(h http.Header) (string, error) {
	refused := malformedWith(http.StatusUnsupportedMediaType, "the body must be "+formBody+", or with a bearer token "+jsonBody+", in UTF-8")
	switch values := h.Values("Content-Type"); len(values) {
	case 0:
		return noBody, nil
	case 1:
		mediaType, params, err := mime.ParseMediaType(values[0])
		if err != nil || (mediaType != formBody && mediaType != jsonBody) {
			return "", refused
		}
		if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
			return "", refused
		}
		return mediaType, nil
	}
	return "", refused
}

// parseRequest reads both forms of a request: RFC 8693, and the shorthand with
// the ID token as a bearer token. It fills in what the body, the query and the
// Authorization header say.
func parseRequest(r *http.Request, mediaType string, body []byte) (*Request, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, malformed("the token endpoint takes no query string")
	}
	bearer, err := bearerToken(r.Header)
	if err != nil {
		return nil, err
	}
	var params map[string]string
	switch {
	case mediaType == formBody:
		params, err = formParams(body)
	case mediaType == jsonBody && bearer == "":
		err = malformed("a JSON body goes with Authorization: Bearer and the ID token; otherwise send a form")
	case mediaType == jsonBody && len(body) > 0:
		params, err = jsonParams(body)
	}
	if err != nil {
		return nil, err
	}
	for name, value := range params {
		if value == "" { // RFC 6749 §3.2: sent without a value is not sent
			delete(params, name)
		}
	}

	req := &Request{SubjectToken: bearer, RequestedTokenType: tokenTypeAccessToken, Parameters: params}
	if bearer == "" {
		err = readTokenExchange(req, params)
	} else {
		err = checkShorthand(params)
	}
	if err != nil {
		return nil, err
	}
	if wanted, ok := params["requested_token_type"]; ok {
		if wanted != tokenTypeAccessToken && wanted != tokenTypeJWT {
			return nil, malformed("requested_token_type is neither " + tokenTypeAccessToken + " nor " + tokenTypeJWT)
		}
		req.RequestedTokenType = wanted
	}
	req.Scope = strings.Fields(params["scope"])
	return req, nil
}

// bearerToken returns the bearer token of the Authorization header, or "" when
// there is no such header.
func bearerToken(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", malformed("Authorization must be Bearer and an ID token")
	}
	return token, nil
}

// readTokenExchange reads the parameters of RFC 8693 §2.1 into req.
func readTokenExchange(req *Request, params map[string]string) error {
	switch grantType, ok := params["grant_type"]; {
	case !ok:
		return malformed("grant_type is missing")
	case grantType != grantTypeTokenExchange:
		return rules.Refuse(rules.UnsupportedGrantType, "another grant_type")
	}
	if err := refuseUnsupported(params); err != nil {
		return err
	}
	token, ok := params["subject_token"]
	if !ok {
		return malformed("subject_token is missing")
	}
	req.SubjectToken = token
	switch tokenType, ok := params["subject_token_type"]; {
	case !ok:
		return malformed("subject_token_type is missing")
	case tokenType != tokenTypeIDToken && tokenType != tokenTypeJWT:
		return rules.Refuse(rules.UnsupportedToken, "another subject_token_type")
	}
	return nil
}

// checkShorthand refuses a bearer token together with RFC 8693's own form:
// which of the two tokens would count is not for us to guess.
func checkShorthand(params map[string]string) error {
	for _, name := range []string{"grant_type", "subject_token", "subject_token_type"} {
		if _, ok := params[name]; ok {
			return malformed("send either Authorization: Bearer or " + name + ", not both")
		}
	}
	return refuseUnsupported(params)
}

func refuseUnsupported(params map[string]string) error {
	for _, name := range []string{"actor_token", "actor_token_type"} {
		if _, ok := params[name]; ok {
			return malformed("actor tokens are not supported")
		}
	}
	for _, name := range []string{"resource", "audience"} {
		if _, ok := params[name]; ok {
			return rules.Refuse(rules.InvalidTarget, "%s was sent", name)
		}
	}
	return nil
}

// formParams reads a form. A parameter sent twice is an error, RFC 6749 §3.2,
// but for the two that RFC 8693 §2.1 lets repeat.
func formParams(body []byte) (map[string]string, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("the form is not validly encoded")
	}
	params := make(map[string]string, len(values))
	for name, sent := range values {
		if len(sent) > 1 && name != "resource" && name != "audience" {
			return nil, malformed("a parameter is repeated")
		}
		value := strings.Join(sent, "") // of several targets, any that is not empty counts
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, malformed("the form is not valid UTF-8")
		}
		params[name] = value
	}
	return params, nil
}

// jsonParams reads an object of strings. encoding/json would let the last of
// two equal members win and accept what follows the object.
func jsonParams(body []byte) (map[string]string, error) {
	refused := malformed("the body is not a JSON object with distinct members that are strings")
	if !utf8.Valid(body) {
		return nil, refused
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, refused
	}
	params := map[string]string{}
	for d.More() {
		name, err := d.Token() // a string, or the decoder refuses it
		if err != nil {
			return nil, refused
		}
		value, err := d.Token()
		text, ok := value.(string)
		if _, repeated := params[name.(string)]; err != nil || !ok || repeated {
			return nil, refused
		}
		params[name.(string)] = text
	}
	if _, err := d.Token(); err != nil {
		return nil, refused
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, refused
	}
	return params, nil
}
