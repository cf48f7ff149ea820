package main_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange/exchangetest"
)

// A grant is one grant's fields as a configuration writes them.
type grant map[string]any

// parityCases are what both we and Twilio's library make tokens from. Each has
// a rule of its own, chosen by the ID token's sub.
var parityCases = []struct {
	name       string
	grants     map[string]grant
	twilio     map[string]grant  // what the rule comes to, where that is not grants
	parameters map[string]string // what the client asks for
	ttl        time.Duration     // 0: an hour
	dublin     bool              // by the account in ie1
}{
	{name: "voiceFull", grants: map[string]grant{"voice": {
		"outgoing_application_sid": "AP00000000000000000000000000000000",
		"outgoing_params":          map[string]any{"team": "a&b <c> é", "n": 7, "ratio": 0.5, "vip": true},
		"incoming_allow":           true,
		"push_credential_sid":      "CR00000000000000000000000000000000",
		"endpoint_id":              "phone-1",
	}}},
	{name: "voiceIncoming", grants: map[string]grant{"voice": {"incoming_allow": true}}},
	{name: "voiceOutgoing", grants: map[string]grant{"voice": {"outgoing_application_sid": "AP00000000000000000000000000000000"}}},
	{name: "voiceNoIncoming", grants: map[string]grant{"voice": {"outgoing_application_sid": "AP00000000000000000000000000000000", "incoming_allow": false}}},
	{name: "videoRoom", grants: map[string]grant{"video": {"room": "daily <stand-up>"}}},
	{name: "videoAnyRoom", grants: map[string]grant{"video": {"any_room": true}}},
	{
		name:       "videoAskedRoom",
		grants:     map[string]grant{"video": {"room": "${request.room}"}},
		twilio:     map[string]grant{"video": {"room": "daily-1"}},
		parameters: map[string]string{"room": "daily-1"},
	},
	{name: "chatFull", grants: map[string]grant{"chat": {
		"service_sid":         "IS00000000000000000000000000000000",
		"endpoint_id":         "browser-1",
		"deployment_role_sid": "RL00000000000000000000000000000000",
		"push_credential_sid": "CR00000000000000000000000000000000",
	}}},
	{name: "chatFewest", grants: map[string]grant{"chat": {"service_sid": "IS00000000000000000000000000000000"}}},
	{name: "syncFull", grants: map[string]grant{"sync": {"service_sid": "IS00000000000000000000000000000000", "endpoint_id": "browser-1"}}},
	{name: "syncFewest", grants: map[string]grant{"sync": {"service_sid": "default"}}},
	{name: "taskRouterFull", grants: map[string]grant{"task_router": {
		"workspace_sid": "WS00000000000000000000000000000000",
		"worker_sid":    "WK00000000000000000000000000000000",
		"role":          "worker",
	}}},
	{name: "taskRouterFewest", grants: map[string]grant{"task_router": {"workspace_sid": "WS00000000000000000000000000000000"}}},
	// What token servers usually give out, for as long as Twilio lets them.
	{
		name: "usual",
		grants: map[string]grant{
			"voice": {"outgoing_application_sid": "AP00000000000000000000000000000000", "incoming_allow": true},
			"video": {"any_room": true},
			"chat":  {"service_sid": "IS00000000000000000000000000000000"},
		},
		ttl: 24*time.Hour - time.Second,
	},
	{name: "dublin", dublin: true, grants: map[string]grant{
		"voice":       {"incoming_allow": true},
		"chat":        {"service_sid": "IS00000000000000000000000000000000"},
		"sync":        {"service_sid": "default"},
		"task_router": {"workspace_sid": "WS00000000000000000000000000000000"},
	}},
}

// parity compares whole tokens with those that Twilio's own library makes from
// the same: only jti, and the time, differ.
func (e endToEnd) parity(t *testing.T) {
	needNode(t)
	key := exchangetest.NewKey(t, "RS256", "parity")
	idp := exchangetest.NewIdP(t, key)
	config := fmt.Sprintf(`
issuers:
  - name: idp
    issuer: %s
    audiences: [spa]
    identity: "idp_${escape(claims.sub)}"
parameters:
  room: {pattern: "[a-z0-9-]{1,64}"}
rules:
`, idp.URL)
	var inputs []map[string]any
	for _, c := range parityCases {
		ttl, account := time.Hour, "main"
		if c.ttl != 0 {
			ttl = c.ttl
		}
		options := map[string]any{"identity": "idp_" + c.name, "ttl": int(ttl.Seconds())}
		input := map[string]any{"accountSid": mainAccountSID, "keySid": mainKeySID, "secret": mainKeySecret, "options": options, "grants": c.grants}
		if c.twilio != nil {
			input["grants"] = c.twilio
		}
		if c.dublin {
			account = "dublin"
			options["region"] = "ie1"
			input["accountSid"], input["keySid"], input["secret"] = dublinAccountSID, dublinKeySID, dublinKeySecret
		}
		inputs = append(inputs, input)
		config += fmt.Sprintf("  - {name: %[1]s, when: \"claims.sub == '%[1]s'\", account: %[2]s, ttl: %[3]s, grants: %[4]s}\n", c.name, account, ttl, toJSON(t, c.grants))
	}
	var twilio []decoded
	node(t, "parity.mjs", inputs, &twilio)
	if len(twilio) != len(parityCases) {
		t.Fatalf("%d tokens of Twilio's, want %d", len(twilio), len(parityCases))
	}

	s := e.serve(t, config)
	now := time.Now().Unix()
	tokenOf := func(sub string) string {
		return key.Token(map[string]any{"iss": idp.URL, "sub": sub, "aud": "spa", "iat": now, "exp": now + 600})
	}
	for i, c := range parityCases {
		t.Run(c.name, func(t *testing.T) {
			status, body := s.exchange(t, tokenOf(c.name), c.parameters)
			if status != http.StatusOK {
				t.Fatalf("status %d: %v", status, body)
			}
			secret := mainKeySecret
			if c.dublin {
				secret = dublinKeySecret
			}
			got, want := verify(t, secret, body["access_token"])[0], twilio[i]
			if diff := cmp.Diff(want.Header, got.Header); diff != "" {
				t.Errorf("header (-twilio +got):\n%s", diff)
			}
			if body["expires_in"] != got.Payload["exp"].(float64)-got.Payload["iat"].(float64) {
				t.Errorf("expires_in %v, in the token %v and %v", body["expires_in"], got.Payload["iat"], got.Payload["exp"])
			}
			answered := map[string]any{"identity": body["identity"]}
			maps.Copy(answered, body["grants"].(map[string]any))
			if diff := cmp.Diff(got.Payload["grants"], any(answered)); diff != "" {
				t.Errorf("grants of the answer (-token +answer):\n%s", diff)
			}
			for _, payload := range []map[string]any{got.Payload, want.Payload} {
				payload["exp"] = payload["exp"].(float64) - payload["iat"].(float64)
				delete(payload, "iat")
				delete(payload, "jti")
			}
			if diff := cmp.Diff(want.Payload, got.Payload); diff != "" {
				t.Errorf("payload (-twilio +got):\n%s", diff)
			}
		})
	}

	for name, room := range map[string]string{"upper case": "Daily", "too long": strings.Repeat("a", 65), "two lines": "daily\nx"} {
		t.Run("room beyond the pattern, "+name, func(t *testing.T) {
			status, body := s.exchange(t, tokenOf("videoAskedRoom"), map[string]string{"room": room})
			wantRefusal(t, "a parameter's value is not accepted", "invalid_parameter", "fix_request", status, body)
		})
	}
}

// issuers serves two issuers at once, one of them a real provider, and shows
// each why it refuses what it must.
func (e endToEnd) issuers(t *testing.T) {
	needNode(t)
	op := newProvider(t)
	op.start(t, newPrivateJWK(t, "k1"))
	key, stranger := exchangetest.NewKey(t, "ES256", "partner"), exchangetest.NewKey(t, "RS256", "k1")
	partner, elsewhere := exchangetest.NewIdP(t, key), exchangetest.NewIdP(t, key)
	s := e.serve(t, fmt.Sprintf(`
issuers:
  - name: op
    issuer: %s
    audiences: [spa]
    identity: "op__${escape(claims.sub)}"
  - name: partner
    issuer: %s
    audiences: [portal]
    algorithms: [ES256]
    identity: "partner__${escape(claims.sub)}"
rules:
  - name: ours
    issuer: op
    when: "true"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
  - name: theirs
    issuer: partner
    when: "true"
    ttl: 10m
    grants: {sync: {service_sid: default}}
`, op.issuer, partner.URL))

	now := time.Now().Unix()
	claims := func(iss, aud string, iat int64) map[string]any {
		return map[string]any{"iss": iss, "sub": "alice", "aud": aud, "iat": iat, "exp": iat + 600}
	}
	alice := op.login(t, "spa", "alice")
	header, rest, _ := strings.Cut(alice, ".")
	payload, signature, _ := strings.Cut(rest, ".")

	for _, test := range []struct{ name, token, identity, scope string }{
		{"op", alice, "op__alice", "chat"},
		{"partner", key.Token(claims(partner.URL, "portal", now)), "partner__alice", "sync"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := s.exchange(t, test.token, nil)
			got := []any{status, body["identity"], body["scope"]}
			if diff := cmp.Diff([]any{200, test.identity, test.scope}, got); diff != "" {
				t.Errorf("status, identity and scope (-want +got):\n%s", diff)
			}
		})
	}

	wrongAudience := []string{"the ID token was issued for another audience", "wrong_audience", "fix_request"}
	unknownIssuer := []string{"the ID token's issuer is not known here", "unknown_issuer", "fix_request"}
	badSignature := []string{"the ID token's signature is not valid", "bad_signature", "reauthenticate"}
	unsupported := []string{"this kind of token is not accepted", "unsupported_token", "fix_request"}
	for _, test := range []struct {
		name, token string
		want        []string // description, reason, action
	}{
		{"another client of the provider", op.login(t, "other-app", "alice"), wrongAudience},
		{"the other issuer's audience", key.Token(claims(partner.URL, "spa", now)), wrongAudience},
		{"another issuer", key.Token(claims(elsewhere.URL, "portal", now)), unknownIssuer},
		{"an issuer with a slash more", key.Token(claims(partner.URL+"/", "portal", now)), unknownIssuer},
		{"expired", key.Token(claims(partner.URL, "portal", now-3600)), []string{"the ID token has expired", "token_expired", "reauthenticate"}},
		{"tampered payload", header + "." + base64url(toJSON(t, claims(op.issuer, "spa", now))) + "." + signature, badSignature},
		{"tampered signature", header + "." + payload + "." + flipped(signature), badSignature},
		{"somebody else's key of the same name", stranger.Token(claims(op.issuer, "spa", now)), badSignature},
		{"the other issuer's key", key.Token(claims(op.issuer, "spa", now)), unsupported}, // its algorithm gives it away
		{"unsigned", base64url([]byte(`{"alg":"none"}`)) + "." + payload + ".", unsupported},
		{"none over a signature", base64url([]byte(`{"alg":"none"}`)) + "." + payload + "." + signature, unsupported},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := s.exchange(t, test.token, nil)
			wantRefusal(t, test.want[0], test.want[1], test.want[2], status, body)
		})
	}
}

// flipped is a signature with another first byte.
func flipped(signature string) string {
	first := "A"
	if signature[0] == 'A' {
		first = "B"
	}
	return first + signature[1:]
}

// browser sends what a browser sends for a page of an origin that is listed,
// and of one that is not.
func (e endToEnd) browser(t *testing.T) {
	key := exchangetest.NewKey(t, "RS256", "browser")
	idp := exchangetest.NewIdP(t, key)
	s := e.serve(t, fmt.Sprintf(`
issuers:
  - name: idp
    issuer: %s
    audiences: [spa]
    identity: "idp_${escape(claims.sub)}"
rules:
  - name: everyone
    when: "true"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
`, idp.URL))
	now := time.Now().Unix()
	token := key.Token(map[string]any{"iss": idp.URL, "sub": "alice", "aud": "spa", "iat": now, "exp": now + 600})

	preflight := http.Header{"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}}
	bearer := http.Header{"Authorization": {"Bearer " + token}}
	// What an answer says of itself, but for its length, its media type and when.
	always := http.Header{"Cache-Control": {"no-store"}, "Pragma": {"no-cache"}, "Vary": {"Origin"}, "X-Content-Type-Options": {"nosniff"}}
	listed := http.Header{"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {"Retry-After"}}
	allowed := http.Header{
		"Access-Control-Allow-Headers": {"Authorization, Content-Type, traceparent, tracestate"},
		"Access-Control-Allow-Methods": {"POST"},
		"Access-Control-Max-Age":       {"600"},
	}
	for _, test := range []struct {
		name, method, origin string
		header               http.Header
		status               int
		want                 []http.Header
	}{
		{"preflight of a listed origin", "OPTIONS", "https://app.example.com", preflight, 204, []http.Header{always, listed, allowed}},
		{"listed origin", "POST", "https://app.example.com", bearer, 200, []http.Header{always, listed}},
		{"error to a listed origin", "POST", "https://app.example.com", http.Header{"Authorization": {"Bearer x"}}, 400, []http.Header{always, listed}},
		{"preflight of another origin", "OPTIONS", "https://evil.example.com", preflight, 403, []http.Header{always}},
		{"another origin", "POST", "https://evil.example.com", bearer, 403, []http.Header{always}},
		{"the listed origin in plain HTTP", "POST", "http://app.example.com", bearer, 403, []http.Header{always}},
		{"no origin at all", "POST", "", bearer, 200, []http.Header{always}},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequest(test.method, s.url+"/token", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = test.header.Clone()
			if test.origin != "" {
				req.Header.Set("Origin", test.origin)
			}
			resp, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			want := http.Header{}
			for _, headers := range test.want {
				maps.Copy(want, headers)
			}
			for _, name := range []string{"Content-Length", "Content-Type", "Date"} {
				resp.Header.Del(name)
			}
			if diff := cmp.Diff(want, resp.Header); diff != "" || resp.StatusCode != test.status {
				t.Errorf("status %d, want %d; headers (-want +got):\n%s", resp.StatusCode, test.status, diff)
			}
		})
	}
}
