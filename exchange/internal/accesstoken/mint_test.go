package accesstoken

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/idtoken"
)

const (
	hex32  = "0123456789abcdef0123456789abcdef"
	secret = "AsecretThatIsNoAuthTokenAtAll123"
)

var now = time.Unix(1_780_000_000, 0)

type m = map[string]any

func accounts() []config.Account {
	return []config.Account{
		{Name: "main", AccountSID: "AC" + hex32, APIKeySID: "SK" + hex32, APIKeySecret: config.NewSecret(secret), Region: "us1"},
		{Name: "ireland", AccountSID: "AC" + hex32, APIKeySID: "SKfedcba9876543210fedcba9876543210", APIKeySecret: config.NewSecret("of ireland"), Region: "ie1"},
		{Name: "australia", AccountSID: "ACfedcba9876543210fedcba9876543210", APIKeySID: "SK" + hex32, APIKeySecret: config.NewSecret("of australia"), Region: "au1"},
	}
}

// counting is a source of randomness that counts: 00 01 02 …
type counting struct{ next byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.next
		c.next++
	}
	return len(p), nil
}

// newMinter returns a minter whose first token's id ends in countedID.
func newMinter() *Minter {
	return New(Options{Accounts: accounts(), Now: func() time.Time { return now }, Rand: &counting{}})
}

const countedID = "000102030405060708090a0b0c0d0e0f"

// decode takes a JWT apart with nothing but the standard library, and checks
// its signature. Numbers stay as they are written.
func decode(t testing.TB, jwt, key string) (header, payload m) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	mac := hmac.New(sha256.New, []byte(key))
	io.WriteString(mac, parts[0]+"."+parts[1])
	if want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); parts[2] != want {
		t.Errorf("signature %s, want %s", parts[2], want)
	}
	for i, into := range []*m{&header, &payload} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// TestMint holds every field of every grant to the payload that Twilio
// documents (https://www.twilio.com/docs/iam/access-tokens).
func TestMint(t *testing.T) {
	const (
		ap, cr, is, rl = "AP" + hex32, "CR" + hex32, "IS" + hex32, "RL" + hex32
		ws, wk         = "WS" + hex32, "WK" + hex32
	)
	for _, test := range []struct {
		name   string
		grants rules.Grants
		want   m // payload's grants, without the identity
	}{
		{"voice, all of it",
			rules.Grants{Voice: &rules.Voice{OutgoingApplicationSID: ap, OutgoingParams: m{"team": "eu", "level": int64(7), "vip": true, "list": []any{"a", 1.5}},
				IncomingAllow: true, PushCredentialSID: cr, EndpointID: "phone"}},
			m{"voice": m{"outgoing": m{"application_sid": ap, "params": m{"team": "eu", "level": json.Number("7"), "vip": true, "list": []any{"a", json.Number("1.5")}}},
				"incoming": m{"allow": true}, "push_credential_sid": cr, "endpoint_id": "phone"}}},
		{"voice, outgoing alone", rules.Grants{Voice: &rules.Voice{OutgoingApplicationSID: ap}}, m{"voice": m{"outgoing": m{"application_sid": ap}}}},
		{"voice, incoming alone", rules.Grants{Voice: &rules.Voice{IncomingAllow: true}}, m{"voice": m{"incoming": m{"allow": true}}}},
		{"voice, push alone", rules.Grants{Voice: &rules.Voice{PushCredentialSID: cr}}, m{"voice": m{"push_credential_sid": cr}}},
		{"voice, endpoint alone", rules.Grants{Voice: &rules.Voice{EndpointID: "phone"}}, m{"voice": m{"endpoint_id": "phone"}}},
		{"video room", rules.Grants{Video: &rules.Video{Room: "support <eu>"}}, m{"video": m{"room": "support <eu>"}}},
		{"video, any room", rules.Grants{Video: &rules.Video{AnyRoom: true}}, m{"video": m{}}},
		{"chat, all of it",
			rules.Grants{Chat: &rules.Chat{ServiceSID: is, EndpointID: "tab", DeploymentRoleSID: rl, PushCredentialSID: cr}},
			m{"chat": m{"service_sid": is, "endpoint_id": "tab", "deployment_role_sid": rl, "push_credential_sid": cr}}},
		{"chat, service alone", rules.Grants{Chat: &rules.Chat{ServiceSID: is}}, m{"chat": m{"service_sid": is}}},
		{"sync, all of it", rules.Grants{Sync: &rules.Sync{ServiceSID: "default", EndpointID: "tab"}}, m{"data_sync": m{"service_sid": "default", "endpoint_id": "tab"}}},
		{"sync, service alone", rules.Grants{Sync: &rules.Sync{ServiceSID: is}}, m{"data_sync": m{"service_sid": is}}},
		{"task router, all of it",
			rules.Grants{TaskRouter: &rules.TaskRouter{WorkspaceSID: ws, WorkerSID: wk, Role: "worker"}},
			m{"task_router": m{"workspace_sid": ws, "worker_sid": wk, "role": "worker"}}},
		{"task router, workspace alone", rules.Grants{TaskRouter: &rules.TaskRouter{WorkspaceSID: ws}}, m{"task_router": m{"workspace_sid": ws}}},
		{"all five",
			rules.Grants{Voice: &rules.Voice{IncomingAllow: true}, Video: &rules.Video{Room: "r"}, Chat: &rules.Chat{ServiceSID: is},
				Sync: &rules.Sync{ServiceSID: is}, TaskRouter: &rules.TaskRouter{WorkspaceSID: ws}},
			m{"voice": m{"incoming": m{"allow": true}}, "video": m{"room": "r"}, "chat": m{"service_sid": is}, "data_sync": m{"service_sid": is}, "task_router": m{"workspace_sid": ws}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := newMinter().mint(&rules.Decision{Identity: "agent_7C1", Account: "main", TTL: time.Hour, Grants: test.grants}, nil)
			if err != nil {
				t.Fatal(err)
			}
			header, payload := decode(t, got.JWT, secret)
			if diff := cmp.Diff(m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			inToken := m{"identity": "agent_7C1"}
			for name, grant := range test.want {
				inToken[name] = grant
			}
			id := "SK" + hex32 + "-" + countedID
			if diff := cmp.Diff(m{
				"jti": id, "iss": "SK" + hex32, "sub": "AC" + hex32,
				"iat": json.Number("1780000000"), "exp": json.Number("1780003600"), "grants": inToken,
			}, payload); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}

			told := *got
			told.JWT, told.Grants = "", nil
			if want := (Token{ID: id, Identity: "agent_7C1", TTL: time.Hour, Region: "us1"}); !cmp.Equal(want, told) {
				t.Errorf("told: %s", cmp.Diff(want, told))
			}
			if diff := cmp.Diff(test.want, asJSON(t, got.Grants)); diff != "" {
				t.Errorf("grants told (-want +got):\n%s", diff)
			}
		})
	}
}

func asJSON(t testing.TB, v any) (out m) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMintRegions: a key belongs to its region, and Twilio looks for it where
// twr says.
func TestMintRegions(t *testing.T) {
	for _, test := range []struct {
		account, key, wantISS, wantSub, region string
		want                                   m
	}{
		{"main", secret, "SK" + hex32, "AC" + hex32, "us1", m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}},
		{"ireland", "of ireland", "SKfedcba9876543210fedcba9876543210", "AC" + hex32, "ie1", m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1", "twr": "ie1"}},
		{"australia", "of australia", "SK" + hex32, "ACfedcba9876543210fedcba9876543210", "au1", m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1", "twr": "au1"}},
	} {
		t.Run(test.account, func(t *testing.T) {
			got, err := newMinter().mint(&rules.Decision{Identity: "u", Account: test.account, TTL: time.Hour, Grants: rules.Grants{Sync: &rules.Sync{ServiceSID: "default"}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			header, payload := decode(t, got.JWT, test.key)
			if diff := cmp.Diff(test.want, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if payload["iss"] != test.wantISS || payload["sub"] != test.wantSub || got.Region != test.region || got.ID != test.wantISS+"-"+countedID {
				t.Errorf("iss %v, sub %v, region %s, id %s", payload["iss"], payload["sub"], got.Region, got.ID)
			}
		})
	}
}

// TestMintTTL has lifetimes that twilio-go would lengthen.
func TestMintTTL(t *testing.T) {
	for _, test := range []struct {
		ttl time.Duration
		exp json.Number
	}{
		{time.Second, "1780000001"},
		{59 * time.Minute, "1780003540"},
		{time.Hour, "1780003600"},
		{24*time.Hour - time.Second, "1780086399"},
	} {
		t.Run(test.ttl.String(), func(t *testing.T) {
			got, err := newMinter().mint(&rules.Decision{Identity: "u", Account: "main", TTL: test.ttl, Grants: rules.Grants{Sync: &rules.Sync{ServiceSID: "default"}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, payload := decode(t, got.JWT, secret)
			if payload["iat"] != json.Number("1780000000") || payload["exp"] != test.exp || got.TTL != test.ttl {
				t.Errorf("iat %v, exp %v, told %s", payload["iat"], payload["exp"], got.TTL)
			}
			if nbf, ok := payload["nbf"]; ok {
				t.Errorf("nbf is %v: it fails where clocks differ", nbf)
			}
		})
	}
}

func TestMintIDs(t *testing.T) {
	minter := New(Options{Accounts: accounts(), Now: func() time.Time { return now }})
	shape := regexp.MustCompile("^SK" + hex32 + "-[0-9a-f]{32}$")
	seen := map[string]bool{}
	for range 1000 {
		got, err := minter.mint(&rules.Decision{Identity: "u", Account: "main", TTL: time.Hour, Grants: rules.Grants{Sync: &rules.Sync{ServiceSID: "default"}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, payload := decode(t, got.JWT, secret)
		if payload["jti"] != got.ID || !shape.MatchString(got.ID) || seen[got.ID] {
			t.Fatalf("jti %v, told %s, seen before: %v", payload["jti"], got.ID, seen[got.ID])
		}
		seen[got.ID] = true
	}
}

// signless fails every test in which something is signed or an id is drawn:
// a refusal comes before.
type signless struct{ t *testing.T }

func (s signless) Read([]byte) (int, error) {
	s.t.Error("randomness was asked for")
	return 0, io.EOF
}

func TestMintRefuses(t *testing.T) {
	voice := rules.Grants{Voice: &rules.Voice{IncomingAllow: true}}
	video := rules.Grants{Video: &rules.Video{Room: "r"}}
	chat := rules.Grants{Chat: &rules.Chat{ServiceSID: "IS" + hex32}}
	sync := rules.Grants{Sync: &rules.Sync{ServiceSID: "default"}}
	decision := func(identity, account string, ttl time.Duration, g rules.Grants) *rules.Decision {
		return &rules.Decision{Identity: identity, Account: account, TTL: ttl, Grants: g}
	}
	of := func(identity string, g rules.Grants) *rules.Decision { return decision(identity, "main", time.Hour, g) }
	for _, test := range []struct {
		name     string
		decision *rules.Decision
		want     string // "" where it is minted
	}{
		{"no ttl", decision("u", "main", 0, sync), "internal: a ttl of 0s is out of bounds"},
		{"negative ttl", decision("u", "main", -time.Second, sync), "internal: a ttl of -1s is out of bounds"},
		{"under a second", decision("u", "main", time.Second-1, sync), "internal: a ttl of 999.999999ms is out of bounds"},
		{"fractional ttl", decision("u", "main", 1500*time.Millisecond, sync), "internal: a ttl of 1.5s is out of bounds"},
		{"a whole day", decision("u", "main", 24*time.Hour, sync), "internal: a ttl of 24h0m0s is out of bounds"},
		{"longest ttl", decision("u", "main", 24*time.Hour-time.Second, sync), ""},

		{"unknown account", decision("u", "other", time.Hour, sync), `rule_failed: no account is named "other"`},
		{"no account", decision("u", "", time.Hour, sync), `rule_failed: no account is named ""`},
		{"video in Ireland", decision("u", "ireland", time.Hour, video), "rule_failed: video exists in us1 alone"},
		{"video in Australia", decision("u", "australia", time.Hour, video), "rule_failed: video exists in us1 alone"},
		{"voice in Ireland", decision("u", "ireland", time.Hour, voice), ""},

		{"empty identity", of("", sync), "identity_invalid: the identity is empty"},
		{"121 bytes with voice", of(strings.Repeat("a", 121), voice), ""},
		{"122 bytes with voice", of(strings.Repeat("a", 122), voice), "identity_invalid: the identity is longer than the 121 bytes that Voice takes"},
		{"128 bytes with video", of(strings.Repeat("é", 64), video), ""},
		{"129 bytes with video", of(strings.Repeat("é", 64)+"a", video), "identity_invalid: the identity is longer than the 128 bytes that Video takes"},
		{"256 bytes with sync", of(strings.Repeat("é", 128), sync), ""},
		{"256 bytes with chat", of(strings.Repeat("a", 256), chat), ""},
		{"257 bytes with sync", of(strings.Repeat("a", 257), sync), "identity_invalid: the identity is longer than 256 bytes"},
		{"257 bytes with voice", of(strings.Repeat("a", 257), voice), "identity_invalid: the identity is longer than 256 bytes"},
		{"bar with voice", of("auth0|1", voice), "identity_invalid: the identity has characters that Voice does not take; escape() writes none of them"},
		{"dash with voice", of("a-b", voice), "identity_invalid: the identity has characters that Voice does not take; escape() writes none of them"},
		{"umlaut with voice", of("ä", voice), "identity_invalid: the identity has characters that Voice does not take; escape() writes none of them"},
		{"bar with video", of("auth0|1", video), ""},
		{"newline", of("a\nb", sync), "identity_invalid: the identity has control characters or is not UTF-8"},
		{"NUL", of("a\x00", sync), "identity_invalid: the identity has control characters or is not UTF-8"},
		{"DEL", of("a\x7f", sync), "identity_invalid: the identity has control characters or is not UTF-8"},
		{"C1 control", of("a\u0085", sync), "identity_invalid: the identity has control characters or is not UTF-8"},
		{"invalid UTF-8", of("a\xff", sync), "identity_invalid: the identity has control characters or is not UTF-8"},
		{"system with chat", of("system", chat), "identity_invalid: the identity is reserved by Conversations"},
		{"private with chat", of("private", chat), "identity_invalid: the identity is reserved by Conversations"},
		{"unique with chat", of("unique", chat), "identity_invalid: the identity is reserved by Conversations"},
		{"user SID with chat", of("US"+hex32, chat), "identity_invalid: the identity is reserved by Conversations"},
		{"user SID with sync", of("US"+hex32, sync), ""},
		{"system with sync", of("system", sync), ""},
		{"System with chat", of("System", chat), ""},
		{"31 hex digits with chat", of("US"+hex32[1:], chat), ""},

		{"room lost", of("u", rules.Grants{Video: &rules.Video{}}), "internal: the token opens other rooms than were decided"},
		{"value that is no JSON", of("u", rules.Grants{Voice: &rules.Voice{OutgoingApplicationSID: "AP" + hex32, OutgoingParams: m{"x": math.NaN()}}}),
			"internal: the token could not be signed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			minter := newMinter()
			if test.want != "" && !strings.HasPrefix(test.want, "internal: the token") { // those know the payload
				minter = New(Options{Accounts: accounts(), Now: minter.now, Rand: signless{t}})
			}
			got, err := minter.mint(test.decision, nil)
			checkRefusal(t, err, test.want)
			if (got != nil) != (test.want == "") {
				t.Errorf("token %v", got)
			}
		})
	}
}

// checkRefusal checks that err is a refusal with this text, or nil for "".
func checkRefusal(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("error %v, want none", err)
		}
		return
	}
	var refusal *rules.Refusal
	if !errors.As(err, &refusal) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestMintWithoutRandomness(t *testing.T) {
	for name, source := range map[string]io.Reader{
		"none":      failing{errors.New("no entropy: /dev/secret-path")},
		"too short": strings.NewReader("fifteen bytes.."),
	} {
		t.Run(name, func(t *testing.T) {
			minter := New(Options{Accounts: accounts(), Now: func() time.Time { return now }, Rand: source})
			got, err := minter.mint(&rules.Decision{Identity: "u", Account: "main", TTL: time.Hour, Grants: rules.Grants{Sync: &rules.Sync{ServiceSID: "default"}}}, nil)
			checkRefusal(t, err, "internal: there is no randomness")
			if got != nil {
				t.Errorf("token %+v", got)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestCheckPayload is the last look before the signature. Nothing but a change
// in twilio-go or in grants makes it fail.
func TestCheckPayload(t *testing.T) {
	decision := func(g rules.Grants) *rules.Decision { return &rules.Decision{Identity: "u", Grants: g} }
	anyRoom := rules.Grants{Video: &rules.Video{AnyRoom: true}}
	oneRoom := rules.Grants{Video: &rules.Video{Room: "blue"}}
	noRoom := rules.Grants{Video: &rules.Video{}}
	const (
		otherIdentity = "internal: the token has another identity than was decided"
		otherGrants   = "internal: the token has other grants than were decided"
		otherRooms    = "internal: the token opens other rooms than were decided"
	)
	for _, test := range []struct {
		name    string
		payload m
		grants  rules.Grants
		want    m
		wantErr string
	}{
		{"one room", m{"grants": m{"identity": "u", "video": m{"room": "blue"}}}, oneRoom, m{"video": m{"room": "blue"}}, ""},
		{"any room", m{"grants": m{"identity": "u", "video": m{}}}, anyRoom, m{"video": m{}}, ""},
		{"any room was not decided", m{"grants": m{"identity": "u", "video": m{}}}, oneRoom, nil, otherRooms},
		{"no room and not any", m{"grants": m{"identity": "u", "video": m{}}}, noRoom, nil, otherRooms},
		{"another room", m{"grants": m{"identity": "u", "video": m{"room": "red"}}}, oneRoom, nil, otherRooms},
		{"one room where any was decided", m{"grants": m{"identity": "u", "video": m{"room": "red"}}}, anyRoom, nil, otherRooms},
		{"room of another type", m{"grants": m{"identity": "u", "video": m{"room": 1}}}, oneRoom, nil, otherRooms},
		{"video of another type", m{"grants": m{"identity": "u", "video": "blue"}}, oneRoom, nil, otherRooms},
		{"video is lost", m{"grants": m{"identity": "u"}}, oneRoom, nil, otherGrants},
		{"a grant too many", m{"grants": m{"identity": "u", "video": m{"room": "blue"}, "chat": m{}}}, oneRoom, nil, otherGrants},
		{"another grant", m{"grants": m{"identity": "u", "chat": m{}}}, oneRoom, nil, otherRooms},
		{"another identity", m{"grants": m{"identity": "v", "video": m{"room": "blue"}}}, oneRoom, nil, otherIdentity},
		{"no identity", m{"grants": m{"video": m{"room": "blue"}}}, oneRoom, nil, otherIdentity},
		{"no grants", m{}, oneRoom, nil, otherIdentity},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := checkPayload(test.payload, decision(test.grants))
			checkRefusal(t, err, test.wantErr)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
}

// newWorld returns a set of rules and a verified token of u1, which they give
// the room that the request asks for.
func newWorld(t testing.TB) (*rules.Set, *idtoken.Token) {
	t.Helper()
	key := exchangetest.NewKey(t, "ES256", "k1")
	keys, err := json.Marshal(m{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("config.yaml", []byte(`
version: 1
accounts:
  - {name: main, account_sid: AC`+hex32+`, api_key_sid: SK`+hex32+`, api_key_secret: `+secret+`}
issuers:
  - {name: idp, issuer: https://idp.example.com, algorithms: [ES256], audiences: [app], jwks_file: keys.json, identity: "idp__${escape(claims.sub)}"}
parameters:
  room: {pattern: "[a-z]+"}
rules:
  - name: expired
    when: "true"
    expires: 2026-01-01
    grants: {video: {any_room: true}}
  - {name: room, when: "issuer == 'idp' && client == 'app'", ttl: 5m, grants: {video: {room: "${request.room}"}, sync: {service_sid: default}}}
`), config.Options{ReadFile: func(string) ([]byte, error) { return keys, nil }})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := idtoken.New(cfg, idtoken.Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	token, err := verifier.Verify(context.Background(), key.Token(m{"iss": "https://idp.example.com", "sub": "u1", "aud": "app", "iat": now.Unix(), "exp": now.Unix() + 60}))
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Rules, token
}

func TestApproveAndMint(t *testing.T) {
	set, token := newWorld(t)
	approval, err := Approve(token, set, Request{Parameters: map[string]string{"room": "blue"}, Scope: []string{"video"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := &rules.Decision{Identity: "idp__u1", Account: "main", TTL: 5 * time.Minute, Grants: rules.Grants{Video: &rules.Video{Room: "blue"}}, Rules: []string{"room"}}
	if diff := cmp.Diff(want, approval.Decision()); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	minted, err := newMinter().Mint(approval, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, payload := decode(t, minted.JWT, secret)
	if diff := cmp.Diff(m{"identity": "idp__u1", "video": m{"room": "blue"}}, payload["grants"]); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

// TestNothingUnverifiedIsMinted: the zero values of what only Verify and
// Approve make are nobody's.
func TestNothingUnverifiedIsMinted(t *testing.T) {
	set, token := newWorld(t)
	request := Request{Parameters: map[string]string{"room": "blue"}}
	for name, token := range map[string]*idtoken.Token{"nil": nil, "zero": {}} {
		t.Run("token: "+name, func(t *testing.T) {
			approval, err := Approve(token, set, request, now)
			checkRefusal(t, err, "internal: there is no verified token to decide for")
			if approval != nil {
				t.Error("approved")
			}
		})
	}
	for name, approval := range map[string]*Approval{"nil": nil, "zero": {}} {
		t.Run("approval: "+name, func(t *testing.T) {
			minted, err := newMinter().Mint(approval, nil)
			checkRefusal(t, err, "internal: there is no approval to mint for")
			if minted != nil {
				t.Error("minted")
			}
		})
	}
	t.Run("refused by the rules", func(t *testing.T) {
		approval, err := Approve(token, set, Request{}, now)
		checkRefusal(t, err, `rule_failed: rules[1].grants.video.room: parameter "room" is absent`)
		if approval != nil {
			t.Error("approved")
		}
	})
}

// TestMintConcurrently is for the race detector too: twilio-go caches in its
// tokens without a lock.
func TestMintConcurrently(t *testing.T) {
	minter := New(Options{Accounts: accounts(), Now: func() time.Time { return now }})
	const workers, each = 8, 50
	var minted [workers * each]*Token
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker * each; i < (worker+1)*each; i++ {
				identity := fmt.Sprintf("u%d", i)
				got, err := minter.mint(&rules.Decision{Identity: identity, Account: "main", TTL: time.Hour, Grants: rules.Grants{Video: &rules.Video{Room: identity}, Sync: &rules.Sync{ServiceSID: "default"}}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				minted[i] = got
			}
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for i, token := range minted {
		if token == nil {
			t.FailNow() // said already
		}
		identity := fmt.Sprintf("u%d", i)
		_, payload := decode(t, token.JWT, secret)
		if diff := cmp.Diff(m{"identity": identity, "video": m{"room": identity}, "data_sync": m{"service_sid": "default"}}, payload["grants"]); diff != "" {
			t.Errorf("another's grants (-want +got):\n%s", diff)
		}
		ids[token.ID] = true
	}
	if len(ids) != len(minted) {
		t.Errorf("%d tokens have %d ids", len(minted), len(ids))
	}
}

func BenchmarkMint(b *testing.B) {
	minter := New(Options{Accounts: accounts(), Now: time.Now})
	decision := &rules.Decision{Identity: "auth0_7C1", Account: "main", TTL: time.Hour, Grants: rules.Grants{
		Voice: &rules.Voice{OutgoingApplicationSID: "AP" + hex32, IncomingAllow: true, OutgoingParams: m{"team": "eu"}},
		Video: &rules.Video{Room: "support-eu"},
		Chat:  &rules.Chat{ServiceSID: "IS" + hex32},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := minter.mint(decision, nil); err != nil {
			b.Fatal(err)
		}
	}
}
