package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// diffConfig is the beginning of both configurations; rules follow.
const diffConfig = `version: 1
accounts:
  - name: main
    account_sid: AC11111111111111111111111111111111
    api_key_sid: SK11111111111111111111111111111111
    api_key_secret: {env: ANY}
issuers:
  - name: idp
    issuer: https://idp.example.com
    audiences: [app]
    algorithms: [ES256]
    jwks_file: keys.json
    claims: {groups: list(string), level: int}
    identity: "idp__${escape(claims.sub)}"
parameters:
  room: {pattern: "[a-z]{1,8}"}
  platform: {enum: [ios, web], default: web}
audit: {key: {env: ANY}, claims: [groups, level, request.room, request.platform]}
rules:
`

// TestDiffReadsWhatServeWrote decides about people of audit lines that the
// service wrote under the old configuration: so what audit.claims lists and a
// line lacks was absent.
func TestDiffReadsWhatServeWrote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := exchangetest.NewKey(t, "ES256", "k1")
	keys, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("keys.json", string(keys))
	oldPath := write("old.yaml", diffConfig+`
  - name: agents
    when: "'agents' in claims.?groups.orValue([])"
    grants: {video: {room: lobby}}
`)
	newPath := write("new.yaml", diffConfig+`
  - name: agents
    when: "'agents' in claims.?groups.orValue([]) && claims.?level.orValue(1) > 0 && claims.iss == 'https://idp.example.com'"
    grants: {video: {room: "${request.?room.orValue('lobby')}"}}
  - name: phones
    when: "'phones' in claims.?groups.orValue([]) && request.platform == 'ios'"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
  - name: ada
    when: "'staff' in claims.?groups.orValue([]) && claims.email == 'ada@example.com'"
    grants: {chat: {service_sid: IS00000000000000000000000000000000}}
`)

	getenv := func(string) (string, bool) { return "ASecretOfTheseTestsAlone00000001", true }
	cfg, err := config.Load(oldPath, config.Options{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_780_000_000, 0)
	var audit bytes.Buffer
	service, err := exchange.New(cfg, exchange.Options{Now: func() time.Time { return now }, Audit: &audit})
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, who := range []struct {
		claims map[string]any
		params map[string]string
	}{
		{map[string]any{"sub": "1", "groups": []any{"agents"}}, nil},
		{map[string]any{"sub": "2", "groups": []any{"agents"}}, map[string]string{"room": "attic"}},
		{map[string]any{"sub": "3", "groups": []any{"agents"}, "level": 0}, nil},
		{map[string]any{"sub": "4"}, nil},
		{map[string]any{"sub": "5", "groups": []any{"phones"}}, nil},
		{map[string]any{"sub": "6", "groups": []any{"phones"}}, map[string]string{"platform": "ios"}},
		{map[string]any{"sub": "7", "groups": []any{"agents", "staff"}, "email": "ada@example.com"}, nil},
		{map[string]any{"sub": "1", "groups": []any{"agents"}}, map[string]string{"platform": "web"}}, // the first, again
		{map[string]any{"sub": "9", "groups": []any{"agents"}, "level": map[string]any{}}, nil},
	} {
		who.claims["iss"], who.claims["aud"] = "https://idp.example.com", "app"
		who.claims["iat"], who.claims["exp"] = now.Unix(), now.Unix()+3600
		service.Exchange(t.Context(), &exchange.Request{SubjectToken: key.Token(who.claims), Parameters: who.params})
		if n := bytes.Count(audit.Bytes(), []byte("\n")); n != lines+1 {
			t.Fatalf("%d lines after %v", n, who.claims)
		}
		lines++
	}
	auditPath := write("audit.jsonl", audit.String())

	var stdout, stderr bytes.Buffer
	p := &program{getenv: getenv, stdout: &stdout, stderr: &stderr, now: time.Now}
	code := p.run(t.Context(), []string{"diff", oldPath, newPath, "--audit", auditPath, "--fail-on", "widen"})
	// Each person by the line they are on; the hash is of the audit's key.
	got := regexp.MustCompile(`subject [0-9a-f]{32} \(`+regexp.QuoteMeta(auditPath)).ReplaceAllString(stdout.String(), "line (")
	const want = `line (:2, issuer idp)
  widens video.room: "lobby" → "attic"
  provided that Twilio takes their identity, which is not known
line (:3, issuer idp)
  narrows outcome: "granted" → "refused: no_rule"
  narrows account: loses "main"
  narrows ttl: loses "1h0m0s"
  narrows video: loses {"room":"lobby"}
  provided that Twilio takes their identity, which is not known
line (:6, issuer idp)
  widens outcome: "refused: no_rule" → "granted"
  widens account: gains "main"
  widens ttl: gains "1h0m0s"
  widens chat: gains {"service_sid":"IS00000000000000000000000000000000"}
  provided that Twilio takes their identity, which is not known
undecided without email: 1 person
undecided without level: 1 person
8 people: 3 unchanged, 3 changed (widening for 2), 2 undecided
`
	if diff := cmp.Diff(want, got); diff != "" || code != exitProblems || strings.Contains(stderr.String(), "twilio-sts:") {
		t.Errorf("exit code %d, stderr %q\n%s", code, stderr.String(), diff)
	}
}
