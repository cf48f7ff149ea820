package exchange

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"twilio-sts/config/rules"
)

const (
	tokenExchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
	idTokenType   = "&subject_token_type=urn:ietf:params:oauth:token-type:id_token"
	wholeForm     = tokenExchange + "&subject_token=a.b.c" + idTokenType
)

func TestRequest(t *testing.T) {
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	bearer := http.Header{"Authorization": {"Bearer a.b.c"}}
	with := func(h http.Header, more ...string) http.Header {
		h = h.Clone()
		for i := 0; i < len(more); i += 2 {
			h.Add(more[i], more[i+1])
		}
		return h
	}
	bearerJSON := with(bearer, "Content-Type", "application/json")
	granted := func(change func(*Request)) *Request {
		r := &Request{SubjectToken: "a.b.c", RequestedTokenType: tokenTypeAccessToken}
		if change != nil {
			change(r)
		}
		return r
	}
	for _, test := range []struct {
		name    string
		method  string // POST when empty
		target  string // /token when empty
		header  http.Header
		body    string
		want    *Request // its Parameters are not compared
		wantErr string
		status  int // 400 when 0
	}{
		{name: "form", header: form, body: wholeForm, want: granted(nil)},
		{name: "form, jwt type", header: form, body: strings.Replace(wholeForm, ":id_token", ":jwt", 1), want: granted(nil)},
		{name: "form with charset", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=UTF-8"}}, body: wholeForm, want: granted(nil)},
		{name: "client_id is ignored", header: form, body: wholeForm + "&client_id=spa", want: granted(nil)},
		{name: "scope", header: form, body: wholeForm + "&scope=voice+chat", want: granted(func(r *Request) { r.Scope = []string{"voice", "chat"} })},
		{name: "empty scope counts as not sent", header: form, body: wholeForm + "&scope=", want: granted(nil)},
		{name: "empty actor_token counts as not sent", header: form, body: wholeForm + "&actor_token=", want: granted(nil)},
		{name: "requested jwt", header: form, body: wholeForm + "&requested_token_type=" + tokenTypeJWT, want: granted(func(r *Request) { r.RequestedTokenType = tokenTypeJWT })},
		{name: "bearer", header: bearer, want: granted(nil)},
		{name: "bearer, lower case, two spaces", header: http.Header{"Authorization": {"bearer  a.b.c"}}, want: granted(nil)},
		{name: "bearer and form", header: with(bearer, "Content-Type", formBody), body: "scope=video", want: granted(func(r *Request) { r.Scope = []string{"video"} })},
		{name: "bearer and JSON", header: bearerJSON, body: ` {"scope":"video","unknown":"x"} `, want: granted(func(r *Request) { r.Scope = []string{"video"} })},
		{name: "bearer and empty JSON body", header: bearerJSON, want: granted(nil)},

		{name: "GET", method: "GET", wantErr: "malformed_request: the token endpoint takes POST", status: 405},
		{name: "PUT", method: "PUT", header: form, body: wholeForm, wantErr: "malformed_request: the token endpoint takes POST", status: 405},
		{name: "no media type", body: wholeForm, wantErr: "malformed_request: the body has no Content-Type", status: 415},
		{name: "other media type", header: http.Header{"Content-Type": {"text/plain"}}, body: wholeForm,
			wantErr: "malformed_request: the body must be application/x-www-form-urlencoded, or with a bearer token application/json, in UTF-8", status: 415},
		{name: "other charset", header: http.Header{"Content-Type": {"application/json; charset=latin1"}}, body: `{}`,
			wantErr: "malformed_request: the body must be application/x-www-form-urlencoded, or with a bearer token application/json, in UTF-8", status: 415},
		{name: "two media types", header: with(form, "Content-Type", jsonBody), body: wholeForm,
			wantErr: "malformed_request: the body must be application/x-www-form-urlencoded, or with a bearer token application/json, in UTF-8", status: 415},
		{name: "too large", header: form, body: wholeForm + "&x=" + strings.Repeat("a", maxBody), wantErr: "malformed_request: the body is larger than 32 KiB", status: 413},
		{name: "query string", target: "/token?subject_token=a.b.c", header: form, body: wholeForm, wantErr: "malformed_request: the token endpoint takes no query string"},
		{name: "bare question mark", target: "/token?", header: form, body: wholeForm, wantErr: "malformed_request: the token endpoint takes no query string"},
		{name: "nothing", wantErr: "malformed_request: grant_type is missing"},
		{name: "another grant", header: form, body: "grant_type=password", wantErr: "unsupported_grant_type: another grant_type"},
		{name: "no token", header: form, body: tokenExchange, wantErr: "malformed_request: subject_token is missing"},
		{name: "empty token", header: form, body: tokenExchange + "&subject_token=" + idTokenType, wantErr: "malformed_request: subject_token is missing"},
		{name: "no token type", header: form, body: tokenExchange + "&subject_token=a.b.c", wantErr: "malformed_request: subject_token_type is missing"},
		{name: "access token type", header: form, body: strings.Replace(wholeForm, ":id_token", ":access_token", 1), wantErr: "unsupported_token: another subject_token_type"},
		{name: "repeated", header: form, body: wholeForm + "&subject_token=d.e.f", wantErr: "malformed_request: a parameter is repeated"},
		{name: "repeated unknown", header: form, body: wholeForm + "&x=1&x=1", wantErr: "malformed_request: a parameter is repeated"},
		{name: "actor token", header: form, body: wholeForm + "&actor_token=x", wantErr: "malformed_request: actor tokens are not supported"},
		{name: "actor token type", header: form, body: wholeForm + "&actor_token_type=x", wantErr: "malformed_request: actor tokens are not supported"},
		{name: "audience", header: form, body: wholeForm + "&audience=x", wantErr: "invalid_target: audience was sent"},
		{name: "two resources", header: form, body: wholeForm + "&resource=https://a&resource=https://b", wantErr: "invalid_target: resource was sent"},
		{name: "requested refresh token", header: form, body: wholeForm + "&requested_token_type=urn:ietf:params:oauth:token-type:refresh_token",
			wantErr: "malformed_request: requested_token_type is neither " + tokenTypeAccessToken + " nor " + tokenTypeJWT},
		{name: "bad escape", header: form, body: wholeForm + "&x=%zz", wantErr: "malformed_request: the form is not validly encoded"},
		{name: "semicolon", header: form, body: wholeForm + ";x=1", wantErr: "malformed_request: the form is not validly encoded"},
		{name: "form not UTF-8", header: form, body: wholeForm + "&x=%ff", wantErr: "malformed_request: the form is not valid UTF-8"},
		{name: "JSON without bearer", header: http.Header{"Content-Type": {jsonBody}}, body: `{}`,
			wantErr: "malformed_request: a JSON body goes with Authorization: Bearer and the ID token; otherwise send a form"},
		{name: "basic", header: http.Header{"Authorization": {"Basic YTpi"}}, wantErr: "malformed_request: Authorization must be Bearer and an ID token"},
		{name: "bearer without token", header: http.Header{"Authorization": {"Bearer "}}, wantErr: "malformed_request: Authorization must be Bearer and an ID token"},
		{name: "two authorizations", header: with(bearer, "Authorization", "Bearer d.e.f"), wantErr: "malformed_request: Authorization must be Bearer and an ID token"},
		{name: "both forms", header: with(bearer, "Content-Type", formBody), body: wholeForm, wantErr: "malformed_request: send either Authorization: Bearer or grant_type, not both"},
		{name: "bearer and audience", header: bearerJSON, body: `{"audience":"x"}`, wantErr: "invalid_target: audience was sent"},
		{name: "JSON list", header: bearerJSON, body: `[]`, wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
		{name: "JSON number", header: bearerJSON, body: `{"a":1}`, wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
		{name: "JSON nested", header: bearerJSON, body: `{"a":{"b":"c"}}`, wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
		{name: "JSON repeated", header: bearerJSON, body: `{"a":"1","\u0061":"2"}`, wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
		{name: "JSON trailing", header: bearerJSON, body: `{} {}`, wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
		{name: "JSON cut off", header: bearerJSON, body: `{"a":"b"`, wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
		{name: "JSON not UTF-8", header: bearerJSON, body: "{\"a\":\"\xff\"}", wantErr: "malformed_request: the body is not a JSON object with distinct members that are strings"},
	} {
		t.Run(test.name, func(t *testing.T) {
			method, target := "POST", "/token"
			if test.method != "" {
				method = test.method
			}
			if test.target != "" {
				target = test.target
			}
			r := httptest.NewRequest(method, target, strings.NewReader(test.body))
			if test.header != nil {
				r.Header = test.header.Clone()
			}
			mediaType, body, err := readBody(httptest.NewRecorder(), r)
			var got *Request
			if err == nil {
				got, err = parseRequest(r, mediaType, body)
			}
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Fatalf("error %v, want %s", err, test.wantErr)
				}
				status, _ := answerTo(err, "")
				if want := max(test.status, 400); status != want {
					t.Errorf("status %d, want %d", status, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Parameters = nil
			if len(got.Scope) == 0 {
				got.Scope = nil
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// FuzzRequest looks for a body that is read as a request and should not be.
func FuzzRequest(f *testing.F) {
	f.Add(formBody, "", wholeForm)
	f.Add(jsonBody, "Bearer a.b.c", `{"scope":"video"}`)
	f.Fuzz(func(t *testing.T, mediaType, authorization, body string) {
		r := httptest.NewRequest("POST", "/token", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {mediaType}}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		got, err := readThenParse(r)
		if err != nil {
			if rules.ReasonOf(err) == rules.Internal {
				t.Errorf("an error that is no refusal: %v", err)
			}
			return
		}
		if got.SubjectToken == "" {
			t.Error("a request without a token")
		}
		for name, value := range got.Parameters {
			if value == "" {
				t.Errorf("parameter %q is empty", name)
			}
		}
	})
}

func readThenParse(r *http.Request) (*Request, error) {
	mediaType, body, err := readBody(httptest.NewRecorder(), r)
	if err != nil {
		return nil, err
	}
	return parseRequest(r, mediaType, body)
}

func TestParametersAreKeptWithoutEmptyOnes(t *testing.T) {
	r := httptest.NewRequest("POST", "/token", strings.NewReader(wholeForm+"&room=blue&platform="))
	r.Header.Set("Content-Type", formBody)
	got, err := readThenParse(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, sent := got.Parameters["platform"]; got.Parameters["room"] != "blue" || sent {
		t.Errorf("parameters %v", got.Parameters)
	}
}

func TestParseTraceparent(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, test := range []struct{ name, header, want string }{
		{"valid", "00-" + trace + "-" + span + "-01", trace},
		{"later version with more fields", "01-" + trace + "-" + span + "-01-x", trace},
		{"version 00 with more fields", "00-" + trace + "-" + span + "-01-x", ""},
		{"later version glued on", "01-" + trace + "-" + span + "-01x", ""},
		{"version ff", "ff-" + trace + "-" + span + "-01", ""},
		{"upper case", "00-" + strings.ToUpper(trace) + "-" + span + "-01", ""},
		{"zero trace", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", ""},
		{"zero span", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"newline", "00-" + trace[:31] + "\n-" + span + "-01", ""},
		{"short", "00-" + trace, ""},
		{"dashes elsewhere", "00_" + trace + "-" + span + "-01", ""},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseTraceparent(test.header)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("got %q %v, want %q", got, ok, test.want)
			}
			id := traceID(http.Header{"Traceparent": {test.header}})
			if len(id) != 32 || (test.want != "" && id != test.want) || (test.want == "" && strings.Contains(test.header, id)) {
				t.Errorf("trace id %q", id)
			}
		})
	}
}

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"peer", "192.0.2.1:1", nil, "192.0.2.1"},
		{"untrusted peer's header is not read", "192.0.2.1:1", []string{"198.51.100.7"}, "192.0.2.1"},
		{"behind a proxy", "10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"client-written entries are left of the right-most", "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"trusted entries are skipped", "10.0.0.1:1", []string{"198.51.100.7, 10.2.2.2"}, "198.51.100.7"},
		{"two header lines", "10.0.0.1:1", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"all trusted", "10.0.0.1:1", []string{"10.9.9.9"}, "10.0.0.1"},
		{"no header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"rubbish", "10.0.0.1:1", []string{"198.51.100.7, me"}, "10.0.0.1"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}
			if got := clientAddress(trusted)(r); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestServerLimits has the server wait for nobody for ever: the zero value of
// each of these is no limit.
func TestServerLimits(t *testing.T) {
	s := (&Service{log: slog.New(slog.DiscardHandler)}).newServer(http.NotFoundHandler())
	for name, limit := range map[string]int64{
		"ReadHeaderTimeout": int64(s.ReadHeaderTimeout),
		"ReadTimeout":       int64(s.ReadTimeout),
		"WriteTimeout":      int64(s.WriteTimeout),
		"IdleTimeout":       int64(s.IdleTimeout),
		"MaxHeaderBytes":    int64(s.MaxHeaderBytes),
	} {
		if limit <= 0 {
			t.Errorf("%s is not set", name)
		}
	}
	// A request that was read in time is also answered in time, and one that is
	// answered is not cut off by the end of the process.
	if s.WriteTimeout <= s.ReadTimeout || drainTimeout < s.WriteTimeout {
		t.Errorf("read %s, write %s, drain %s", s.ReadTimeout, s.WriteTimeout, drainTimeout)
	}
}
