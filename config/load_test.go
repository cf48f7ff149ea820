package config_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

// sameConfig compares configurations but for what is compiled.
var sameConfig = cmp.Options{
	cmpopts.IgnoreFields(config.Config{}, "Rules", "Hash"),
	cmpopts.IgnoreUnexported(config.Config{}),
	cmp.Comparer(func(a, b config.Secret) bool { return a.IsSet() == b.IsSet() && a.Reveal() == b.Reveal() }),
	cmp.Comparer(func(a, b *x509.CertPool) bool { return a.Equal(b) }),
	cmpopts.EquateComparable(netip.Prefix{}),
}

func parsed(t *testing.T, text string, o config.Options) *config.Config {
	t.Helper()
	if o.Getenv == nil {
		o.Getenv = getenv
	}
	if o.ReadFile == nil {
		o.ReadFile = readFrom(nil)
	}
	cfg, err := config.Parse("config.yaml", []byte(text), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := &config.Config{
		Server: config.Server{Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081"},
		Accounts: []config.Account{{Name: "main", AccountSID: accountSID, APIKeySID: keySID,
			APIKeySecret: config.NewSecret(keySecret), Region: "us1"}},
		Tokens: config.Tokens{TTL: time.Hour, MaxTTL: 86399 * time.Second},
		Issuers: []config.Issuer{{
			Name: "idp", URL: "https://idp.example/", Algorithms: []string{"RS256"}, WaitForKeys: true,
			Policy: rules.Policy{IssuerIDs: []string{"https://idp.example/"}, Audiences: []string{"app"}, AllowedAZP: []string{"app"},
				ClockSkew: time.Minute, MaxLifetime: 24 * time.Hour},
		}},
		Limits: config.Limits{PerIP: config.Rate{Count: 20, Per: time.Second}, PerSubject: config.Rate{Count: 60, Per: time.Minute},
			FailuresPerIP: config.Rate{Count: 30, Per: time.Minute}},
		Audit: config.Audit{File: "-", OnFailure: "refuse"},
		Store: config.Store{OnFailure: "refuse"},
	}
	if diff := cmp.Diff(want, parsed(t, plainest, config.Options{}), sameConfig); diff != "" {
		t.Error(diff)
	}
}

// everything has each key outside rules and tests once, with another value than
// its default.
const everything = `version: 1
server:
  listen: "[::1]:1"
  admin_listen: ""
  admin_token: {env: SECRET}
  public_url: http://localhost:8080/sts
  allowed_origins: ["https://app.example.com", "capacitor://localhost", "http://[::1]:3000"]
  trusted_proxies: [10.1.2.3/8, 192.0.2.1, "2001:db8::/32"]
  tls: {cert_file: tls.crt, key_file: /etc/tls.key}
accounts:
  - {name: main, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {file: api.key}, region: ie1}
  - {name: second, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}, region: au1}
tokens: {ttl: 1.5h, max_ttl: 2h, not_beyond_id_token: TRUE}
identity_key: {file: identity.key}
issuers:
  - name: a-1
    issuer: https://login.microsoftonline.com/{tenantid}/v2.0
    tenants: [11111111-2222-3333-4444-555555555555]
    audiences: [a, b]
    trusted_audiences: [c]
    algorithms: [ES256, EdDSA]
    allowed_azp: [d]
    clock_skew: 0s
    max_token_age: 12h
    max_lifetime: 1h30m
    max_uses: 1
    jwks_uri: http://127.0.0.1:8082/keys
    ca_file: ca.pem
    allowed_origins: ["https://app.example.com"]
    backchannel_logout: true
    wait_for_keys: false
    claims: {level: int}
    require: [claims.email_verified, claims.level > 0]
    identity: "a__${pseudonym(claims.sub)}"
  - {name: b, issuer: "https://b.example", audiences: [x], jwks_file: keys.json, allowed_azp: [], identity: "b__${escape(claims.sub)}", insecure_identity: because}
parameters: {room: {enum: [a, b], default: a}, other: {pattern: "[a-z]"}}
limits: {per_ip: 1/h, per_subject: off, failures_per_ip: 5/m}
audit: {file: audit.log, key: {env: SECRET}, claims: [sub, request.room], subjects: plain, on_failure: drop}
store: {redis: {url: {env: REDIS_URL}, on_failure: insecure_allow}}
rules:
  - {name: all, issuer: any, when: "true", grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}}
`

func everyFile(t *testing.T) map[string]string {
	cert, key := certificate(t)
	return map[string]string{
		"tls.crt": cert, "/etc/tls.key": key, "ca.pem": cert, "keys.json": `{"keys":[]}`,
		"api.key": keySecret + "\n", "identity.key": strings.Repeat("k", 32) + "\r\n",
	}
}

func everyVariable(name string) (string, bool) {
	if name == "SECRET" {
		return "sixteenCharacters", true
	}
	return getenv(name)
}

func TestEveryKeyIsRead(t *testing.T) {
	t.Parallel()
	files := everyFile(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(files["ca.pem"]))
	sids := config.Account{AccountSID: accountSID, APIKeySID: keySID, APIKeySecret: config.NewSecret(keySecret)}
	main, second := sids, sids
	main.Name, main.Region, second.Name, second.Region = "main", "ie1", "second", "au1"
	want := &config.Config{
		Server: config.Server{
			Listen: "[::1]:1", AdminToken: config.NewSecret("sixteenCharacters"), PublicURL: "http://localhost:8080/sts",
			AllowedOrigins: []string{"https://app.example.com", "capacitor://localhost", "http://[::1]:3000"},
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")},
			TLS:            &config.TLS{CertFile: "tls.crt", KeyFile: "/etc/tls.key"},
		},
		Accounts: []config.Account{main, second},
		Tokens:   config.Tokens{TTL: 90 * time.Minute, MaxTTL: 2 * time.Hour, NotBeyondIDToken: true},
		Issuers: []config.Issuer{{
			Name: "a-1", URL: "https://login.microsoftonline.com/{tenantid}/v2.0", Tenants: []string{"11111111-2222-3333-4444-555555555555"},
			Algorithms: []string{"ES256", "EdDSA"},
			Policy: rules.Policy{
				IssuerIDs: []string{"https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"},
				Audiences: []string{"a", "b"}, TrustedAudiences: []string{"c"}, AllowedAZP: []string{"d"},
				MaxTokenAge: 12 * time.Hour, MaxLifetime: 90 * time.Minute,
			},
			MaxUses: 1, JWKSURI: "http://127.0.0.1:8082/keys", RootCAs: roots, AllowedOrigins: []string{"https://app.example.com"}, BackchannelLogout: true,
		}, {
			Name: "b", URL: "https://b.example", Algorithms: []string{"RS256"}, JWKS: []byte(`{"keys":[]}`), WaitForKeys: true,
			Policy: rules.Policy{IssuerIDs: []string{"https://b.example"}, Audiences: []string{"x"}, ClockSkew: time.Minute, MaxLifetime: 24 * time.Hour},
		}},
		Parameters: []string{"room", "other"},
		Limits:     config.Limits{PerIP: config.Rate{Count: 1, Per: time.Hour}, FailuresPerIP: config.Rate{Count: 5, Per: time.Minute}},
		Audit:      config.Audit{File: "audit.log", Key: config.NewSecret("sixteenCharacters"), Claims: []string{"sub", "request.room"}, Plain: true, OnFailure: "drop"},
		Store:      config.Store{RedisURL: config.NewSecret("redis://localhost:6379"), OnFailure: "insecure_allow"},
	}
	got := parsed(t, everything, config.Options{Getenv: everyVariable, ReadFile: readFrom(files)})
	var notYet []string
	for _, d := range got.NotYet {
		notYet = append(notYet, d.Path)
	}
	if diff := cmp.Diff([]string{"audit.file", "audit.on_failure"}, notYet); diff != "" {
		t.Errorf("not available: %s", diff)
	}
	if diff := cmp.Diff(`config.yaml:17:13: warning: issuers[0].issuer: this is an issuer of entra, and what its preset demands is not demanded [no-provider]
   17 |     issuer: https://login.microsoftonline.com/{tenantid}/v2.0
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   hint: write provider: entra
config.yaml:39:52: warning: store.redis.on_failure: while Redis does not answer, tokens that were used up and sessions that have ended are let in [insecure]
   39 | store: {redis: {url: {env: REDIS_URL}, on_failure: insecure_allow}}
      |                                                    ^^^^^^^^^^^^^^
   hint: leave on_failure out`, got.Warnings.Error()); diff != "" {
		t.Errorf("warnings: %s", diff)
	}
	got.NotYet, got.Warnings = nil, nil
	if diff := cmp.Diff(want, got, sameConfig); diff != "" {
		t.Error(diff)
	}
	if got.Issuer("b") != &got.Issuers[1] || got.Issuer("c") != nil {
		t.Errorf("issuers by name: %v %v", got.Issuer("b"), got.Issuer("c"))
	}
}

// TestNotYet has each key without machinery: what it may be set to, and what
// is said of any other value.
func TestNotYet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, to, want string }{
		{"", "server: {admin_token: {env: REDIS_URL}}\n", ""},
		{"", "audit: {file: \"-\", subjects: plain, claims: [sub], key: {env: REDIS_URL}, on_failure: refuse}\n", ""},
		{"", "audit: {file: audit.log}\n", `config.yaml:16:15: audit.file: audit.file is not available in this version [not-available]
   16 | audit: {file: audit.log}
      |               ^^^^^^^^^
   hint: leave it out, or off, until it is
`},
		{"", "audit: {on_failure: drop}\n", `config.yaml:16:21: audit.on_failure: audit.on_failure is not available in this version [not-available]
   16 | audit: {on_failure: drop}
      |                     ^^^^
   hint: leave it out, or off, until it is
`},
	} {
		t.Run(strings.TrimSpace(tt.to[strings.LastIndex(strings.TrimSpace(tt.to), "\n")+1:]), func(t *testing.T) {
			t.Parallel()
			cfg := parsed(t, edited(tt.from, tt.to), config.Options{})
			var got strings.Builder
			for _, d := range cfg.NotYet {
				got.WriteString(d.String())
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReferences writes every string for which a variable or a file may stand
// as one, and wants the same configuration.
func TestReferences(t *testing.T) {
	t.Parallel()
	const text = `version: 1
server:
  listen: <127.0.0.1:1>
  admin_listen: <127.0.0.1:2>
  public_url: <https://sts.example>
  allowed_origins: [<https://app.example>]
  trusted_proxies: [<10.0.0.0/8>]
  tls: {cert_file: <tls.crt>, key_file: </etc/tls.key>}
accounts:
  - {name: main, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}, region: <us1>}
issuers:
  - name: idp
    issuer: <https://login.microsoftonline.com/{tenantid}/v2.0>
    provider: <entra>
    tenants: [<11111111-2222-3333-4444-555555555555>]
    audiences: [<app>]
    trusted_audiences: [<api>]
    algorithms: [<ES256>]
    allowed_azp: [<app>]
    jwks_uri: <https://idp.example/keys>
    ca_file: <ca.pem>
    allowed_origins: [<https://app.example>]
    claims: {level: <int>}
    insecure_identity: <because>
    identity: <everybody>
parameters: {platform: {enum: [<ios>, <web>], default: <web>}, room: {pattern: "<[a-z]+>"}}
audit: {file: <->, subjects: <plain>, on_failure: <refuse>}
rules:
  - {name: not now, when: request.room == 'x', deny: <suspended>}
  - name: all
    when: "true"
    account: <main>
    identity: <everybody>
    insecure_identity: <because>
    grants:
      chat: {service_sid: <IS0123456789abcdef0123456789abcdef>}
      voice: {outgoing_application_sid: <AP0123456789abcdef0123456789abcdef>, outgoing_params: {a: <b>}, push_credential_sid: <CR0123456789abcdef0123456789abcdef>}
`
	files := everyFile(t)
	reference := regexp.MustCompile(`"?<([^>]*)>"?`)
	variables := map[string]string{}
	var written, variable, file string
	written = reference.ReplaceAllString(text, `"$1"`)
	variable = reference.ReplaceAllStringFunc(text, func(s string) string {
		name := fmt.Sprintf("V%d", len(variables))
		variables[name] = reference.FindStringSubmatch(s)[1]
		files[name] = variables[name] + "\n"
		return "{env: " + name + "}"
	})
	file = strings.ReplaceAll(strings.ReplaceAll(variable, "{env: V", "{file: V"), "{env: TW", "{env: TW")
	o := config.Options{ReadFile: readFrom(files), Getenv: func(name string) (string, bool) {
		if s, ok := variables[name]; ok {
			return s, true
		}
		return getenv(name)
	}}
	want := parsed(t, written, o)
	for name, text := range map[string]string{"variables": variable, "files": file} {
		if diff := cmp.Diff(want, parsed(t, text, o), sameConfig, cmpopts.IgnoreFields(config.Config{}, "Warnings")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if len(variables) < 30 {
		t.Errorf("only %d references", len(variables))
	}
}

// TestFileContent has what of a file's content is its value, and where the file
// is looked for.
func TestFileContent(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"value": "value", "value\n": "value", "value\r\n": "value", "value\n\n": "value\n", "value\r": "value\r", " value ": " value ",
		"value\n\r\n": "value\n", "\nvalue": "\nvalue",
	} {
		text := edited("", "audit: {key: {file: secrets/audit.key}}\n")
		cfg, err := config.Parse("/etc/sts/config.yaml", []byte(text), config.Options{Getenv: getenv, ReadFile: readFrom(map[string]string{"/etc/sts/secrets/audit.key": content})})
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if got := cfg.Audit.Key.Reveal(); got != want {
			t.Errorf("%q is %q, want %q", content, got, want)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	if err := errors.Join(os.WriteFile(path, []byte(edited("", "audit: {key: {file: audit.key}}\n")), 0o600), os.WriteFile(filepath.Join(dir, "audit.key"), []byte("k"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, config.Options{Getenv: getenv})
	if err != nil || cfg.Audit.Key.Reveal() != "k" {
		t.Errorf("%v %v", cfg, err)
	}
	if _, err := config.Load(filepath.Join(dir, "nothing"), config.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
}

const secretsMissing = `version: 1
server: {admin_token: {file: admin.token}}
accounts:
  - {name: main, account_sid: {env: NOT_SET}, api_key_sid: {file: missing}, api_key_secret: {env: NOT_SET}}
identity_key: {file: identity.key}
audit: {key: {env: NOT_SET}}
store: {redis: {url: {file: redis}}}
issuers:
  - {name: idp, issuer: "https://idp.example", audiences: [app], identity: "idp__${pseudonym(claims.sub)}"}
rules:
  - {name: all, when: "true", grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}}
`

func TestNoSecrets(t *testing.T) {
	t.Parallel()
	cfg := parsed(t, secretsMissing, config.Options{NoSecrets: true})
	got := []string{cfg.Accounts[0].AccountSID, cfg.Accounts[0].APIKeySID, cfg.Accounts[0].APIKeySecret.Reveal(), cfg.Server.AdminToken.Reveal(), cfg.Audit.Key.Reveal(), cfg.Store.RedisURL.Reveal()}
	want := []string{"AC00000000000000000000000000000000", "SK00000000000000000000000000000000", "placeholder", "placeholderplaceholder", "placeholder", "redis://localhost:6379"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// What is there is used, and what is no secret is needed all the same.
	there := strings.NewReplacer("{env: NOT_SET}, api_key_sid", "{env: TWILIO_ACCOUNT_SID}, api_key_sid", "audiences: [app]", "audiences: [{env: NOT_SET}]").Replace(secretsMissing)
	_, err := config.Parse("config.yaml", []byte(there), config.Options{NoSecrets: true, Getenv: getenv, ReadFile: readFrom(nil)})
	if got, want := fmt.Sprint(err), `config.yaml:9:66: issuers[0].audiences[0].env: the variable NOT_SET is not set [unset-variable]
    9 |   - {name: idp, issuer: "https://idp.example", audiences: [{env: NOT_SET}], identity: "idp__${pseudonym(claims.sub)}"}
      |                                                                  ^^^^^^^`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	there = strings.Replace(there, "audiences: [{env: NOT_SET}]", "audiences: [app]", 1)
	if got := parsed(t, there, config.Options{NoSecrets: true}).Accounts[0].AccountSID; got != accountSID {
		t.Errorf("account %s, want %s", got, accountSID)
	}
	if got := diagnose(t, secretsMissing, nil); strings.Count(got, "is not set")+strings.Count(got, "does not exist") != 7 {
		t.Errorf("without the option: %s", got)
	}
}

// TestDevelopmentIssuers loads with every issuer replaced: no secret and no
// file is asked for.
func TestDevelopmentIssuers(t *testing.T) {
	t.Parallel()
	text := strings.Replace(secretsMissing, "issuers:\n", `issuers:
  - {name: entra, provider: entra, issuer: "https://login.microsoftonline.com/{tenantid}/v2.0", tenants: [11111111-2222-3333-4444-555555555555],
     audiences: [a], algorithms: [ES256], jwks_file: keys.json, ca_file: ca.pem, identity: "e__${escape(claims.tid)}__${escape(claims.oid)}"}
  - {name: uri, issuer: "https://uri.example", audiences: [b], jwks_uri: "https://uri.example/keys", identity: "u__${escape(claims.sub)}"}
`, 1)
	text = strings.Replace(text, "server: {", "server: {tls: {cert_file: a, key_file: b}, ", 1)
	cfg := parsed(t, text, config.Options{
		IssuerURL: func(name string) string { return "http://127.0.0.1:1/" + name },
		Getenv: func(name string) (string, bool) {
			t.Errorf("the variable %s is read", name)
			return "", false
		},
		ReadFile: func(path string) ([]byte, error) {
			t.Errorf("the file %s is read", path)
			return nil, os.ErrNotExist
		},
	})
	for i, name := range []string{"entra", "uri", "idp"} {
		got, url := cfg.Issuers[i], "http://127.0.0.1:1/"+name
		if got.URL != url || !slices.Equal(got.Policy.IssuerIDs, []string{url}) || !slices.Equal(got.Algorithms, []string{"RS256"}) ||
			got.JWKSURI != "" || got.JWKS != nil || got.RootCAs != nil || got.Tenants != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	files := everyFile(t)
	hash := func(text string, files map[string]string, variables map[string]string) string {
		return parsed(t, text, config.Options{ReadFile: readFrom(files), Getenv: func(name string) (string, bool) {
			if s, ok := variables[name]; ok {
				return s, true
			}
			return everyVariable(name)
		}}).Hash
	}
	first := hash(everything, files, nil)
	if again := hash(everything, maps.Clone(files), map[string]string{}); again != first || len(first) != 64 {
		t.Errorf("the hash of the same is %s and %s", first, again)
	}
	if other := hash(everything, files, map[string]string{"NOT_NAMED": "x"}); other != first {
		t.Error("a variable that is not named has a part in the hash")
	}
	seen := map[string]string{first: "itself"}
	differs := func(what, hash string) {
		if other, ok := seen[hash]; ok {
			t.Errorf("%s has the hash of %s", what, other)
		}
		seen[hash] = what
	}
	differs("with a comment", hash(everything+"# a comment\n", files, nil))
	differs("with another value", hash(strings.Replace(everything, "12h", "13h", 1), files, nil))
	for _, name := range []string{"api.key", "identity.key", "keys.json"} {
		other := maps.Clone(files)
		other[name] = "x" + other[name]
		differs("with another "+name, hash(everything, other, nil))
	}
	swapped := maps.Clone(files)
	swapped["api.key"], swapped["identity.key"] = files["identity.key"], files["api.key"]
	swapped["api.key"] += "x"
	differs("with files swapped", hash(everything, swapped, nil))
	for name, another := range map[string]string{"SECRET": "another", "REDIS_URL": "redis://another", "TWILIO_API_KEY_SECRET": "another"} {
		differs("with another "+name, hash(everything, files, map[string]string{name: another}))
	}

	// The hash is public, and a secret somebody thought up is not in it on its
	// own: with another API key, the same admin token gives another hash.
	const token = "server: {admin_token: {env: SECRET}}\n"
	one := hash(edited("", token), nil, nil)
	two := hash(edited("", token), nil, map[string]string{"TWILIO_API_KEY_SECRET": "another"})
	if one == two {
		t.Error("the hash does not depend on the API key's secret")
	}
}

// TestManyFaults has more faults than are listed.
func TestManyFaults(t *testing.T) {
	t.Parallel()
	for n, more := range map[int]string{101: "\nand 1 more", 130: "\nand 30 more", 2000: "\nand 900 more"} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "key%d: 1\n", i)
		}
		got := diagnose(t, plainest+text.String(), nil)
		if listed := strings.Count(got, "[unknown-key]"); listed != 100 || !strings.HasSuffix(got, more) {
			t.Errorf("%d faults: %d are listed, and at the end is %q", n, listed, got[len(got)-40:])
		}
	}
	// A line that fills screens is not shown.
	got := diagnose(t, plainest+"y: "+strings.Repeat("a", 1000)+"\n", nil)
	if want := `config.yaml:16:1: y: "y" is not a key here [unknown-key]
   hint: known here: version, server, accounts, tokens, identity_key, issuers, parameters, limits, audit, store, rules, tests`; got != want {
		t.Errorf("got %s", got)
	}
	// However many warnings there are, they hide no fault.
	text := aRule
	for i := range 1500 {
		text += fmt.Sprintf("  - {name: r%d, when: \"true\", grants: {video: {any_room: true}}}\n", i)
	}
	text += "  - {name: last, when: nothing, ttl: 1h}\n"
	if got := diagnose(t, edited("*rule", text), nil); !strings.HasPrefix(got, "config.yaml:1516:24: rules[1501].when: unknown name \"nothing\"") {
		t.Errorf("the fault is not first: %.200s", got)
	}
}

// TestAliases expands aliases, each for a whole value, and not without limit.
func TestAliases(t *testing.T) {
	t.Parallel()
	shared := strings.Replace(plainest, "audiences: [app]", "audiences: &apps [&app app, second]\n    allowed_azp: *apps\n    trusted_audiences: [*app]", 1)
	got := parsed(t, shared, config.Options{}).Issuers[0].Policy
	if !slices.Equal(got.AllowedAZP, []string{"app", "second"}) || !slices.Equal(got.TrustedAudiences, []string{"app"}) {
		t.Errorf("azp %q, trusted %q", got.AllowedAZP, got.TrustedAudiences)
	}

	const test = "tests:\n  - name: t\n    expect: {refused: denied}\n    claims:\n"
	laughs := test + "      a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		laughs += fmt.Sprintf("      a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9)+fmt.Sprintf("*a%d", i-1))
	}
	deep := test + "      a: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\n"
	for name, tt := range map[string]struct{ text, want string }{
		"a billion laughs": {laughs, `config.yaml:20:34: tests[0].claims.a5[3][1][7][8][2][6]: the document is too large, or too deep, with its aliases expanded [too-large]
   20 |       a0: &a0 [x, x, x, x, x, x, x, x, x, x]
      |                                  ^`},
		"deep": {deep, "config.yaml:20:58: tests[0].claims.a" + strings.Repeat("[0]", 48) + `: the document is too large, or too deep, with its aliases expanded [too-large]
   20 |       a: ` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `
      |                                                          ^`},
		"a value inside itself": {"tests:\n  - name: t\n    expect: {refused: denied}\n    claims: {a: &a [*a]}\n", "config.yaml:19:21: tests[0].claims.a" + strings.Repeat("[0]", 48) + `: the document is too large, or too deep, with its aliases expanded [too-large]
   19 |     claims: {a: &a [*a]}
      |                     ^`},
	} {
		if diff := cmp.Diff(tt.want, diagnose(t, plainest+tt.text, nil)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestLoadCases(t *testing.T) {
	t.Parallel()
	cfg := parsed(t, plainest+"parameters: {room: {enum: [lobby]}, n: {pattern: \"[0-9]\"}}\n", config.Options{})
	files := map[string]string{
		"cases.yaml": `- name: full
  issuer: idp
  claims: {sub: a, n: 1, f: 1.5e3, b: true, s: 2026-01-01, nothing: ~, list: [1, {a: "1"}]}
  request: {room: lobby, n: "1"}
  scope: chat video
  at: 2026-02-03T04:05:06+01:00
  expect: {identity: idp_a, account: main, ttl: 1h, scope: [chat], grants: {chat: {service_sid: x}}}
- {name: refused, scope: [sync], expect: {refused: denied}}
`,
		"empty.yaml":  "",
		"faulty.yaml": "- {name: a, expect: {}}\n- {nam: b}\n- {name: c, issuer: ipd, expect: {ttl: 1, scope: {}}}\n",
		"map.yaml":    "{}",
		"tests.yaml":  "tests: [{name: a, expect: {refused: denied}}]",
		"asked.yaml":  "- {name: a, request: {rom: lobby}, expect: {refused: denied}}",
	}
	o := config.Options{ReadFile: readFrom(files)}
	identity, account, ttl := "idp_a", "main", time.Hour
	want := []rules.Case{{
		Path: "[0]", Name: "full", Issuer: "idp",
		Claims: rules.Claims{"sub": "a", "n": int64(1), "f": 1500.0, "b": true, "s": "2026-01-01", "nothing": nil,
			"list": []any{int64(1), map[string]any{"a": "1"}}},
		Request: map[string]string{"room": "lobby", "n": "1"},
		Scope:   []string{"chat", "video"},
		At:      time.Date(2026, 2, 3, 3, 5, 6, 0, time.UTC),
		Expect: rules.Expectation{Identity: &identity, Account: &account, TTL: &ttl, Scope: []string{"chat"},
			Grants: map[string]any{"chat": map[string]any{"service_sid": "x"}}},
	}, {
		Path: "[1]", Name: "refused", Issuer: "idp", Claims: rules.Claims{}, Scope: []string{"sync"},
		Expect: rules.Expectation{Refused: "denied"},
	}}
	got, err := config.LoadCases("cases.yaml", cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]string{
		"nowhere.yaml": "open nowhere.yaml: file does not exist",
		"empty.yaml":   "empty.yaml:1:1: the file is empty [empty-file]",
		"map.yaml":     "map.yaml:1:1: this is a mapping, and a list of cases is wanted [wrong-type]\n    1 | {}\n      | ^",
		"tests.yaml": `tests.yaml:1:1: this is a mapping, and a list of cases is wanted [wrong-type]
    1 | tests: [{name: a, expect: {refused: denied}}]
      | ^
   hint: write the list without tests:`,
		"asked.yaml": `asked.yaml:1:28: [0].request.rom: no parameter is named "rom" [unknown-parameter]
    1 | - {name: a, request: {rom: lobby}, expect: {refused: denied}}
      |                            ^^^^^
   hint: did you mean room?`,
		"faulty.yaml": `faulty.yaml:1:21: [0].expect: the case expects nothing [missing-value]
    1 | - {name: a, expect: {}}
      |                     ^
faulty.yaml:2:3: [1]: name is missing [missing-key]
    2 | - {nam: b}
      |   ^
faulty.yaml:2:3: [1]: expect is missing [missing-key]
    2 | - {nam: b}
      |   ^
faulty.yaml:2:4: [1].nam: "nam" is not a key here [unknown-key]
    2 | - {nam: b}
      |    ^^^
   hint: did you mean name?
faulty.yaml:3:21: [2].issuer: no issuer is named "ipd" [unknown-issuer]
    3 | - {name: c, issuer: ipd, expect: {ttl: 1, scope: {}}}
      |                     ^^^
   hint: did you mean idp?
faulty.yaml:3:40: [2].expect.ttl: "1" is not a duration [invalid-duration]
    3 | - {name: c, issuer: ipd, expect: {ttl: 1, scope: {}}}
      |                                        ^
   hint: write 30s, 15m or 12h
faulty.yaml:3:50: [2].expect.scope: this is a mapping, and text is wanted [wrong-type]
    3 | - {name: c, issuer: ipd, expect: {ttl: 1, scope: {}}}
      |                                                  ^`,
	} {
		_, err := config.LoadCases(path, cfg, o)
		if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// TestPresets has what a provider's name sets that is not said otherwise.
func TestPresets(t *testing.T) {
	t.Parallel()
	parse := func(keys string) config.Issuer {
		return parsed(t, strings.Replace(plainest, "https://idp.example/\n", "https://idp.example/\n"+keys, 1), config.Options{}).Issuers[0]
	}
	supabase := parse("    provider: supabase\n")
	if !slices.Equal(supabase.Algorithms, []string{"ES256", "RS256"}) || !supabase.Policy.AccessToken || supabase.Provider != "supabase" {
		t.Errorf("supabase: %+v", supabase)
	}
	if said := parse("    provider: supabase\n    algorithms: [ES512]\n"); !slices.Equal(said.Algorithms, []string{"ES512"}) {
		t.Errorf("algorithms %v", said.Algorithms)
	}
}

// TestGrantValues has values of each kind in grants, as they come out.
func TestGrantValues(t *testing.T) {
	t.Parallel()
	const text = `  - name: all
    when: "true"
    grants:
      voice:
        outgoing_application_sid: AP0123456789abcdef0123456789abcdef
        outgoing_params: {b: true, n: 12345678901, f: 1.5, s: "1", y: yes, d: 2026-01-01, e: "${claims.sub}"}
        incoming_allow: true
      video: {any_room: true}
tests:
  - name: as they are
    claims: {sub: a}
    expect:
      grants:
        voice:
          outgoing_application_sid: AP0123456789abcdef0123456789abcdef
          outgoing_params: {b: true, n: 12345678901, f: 1.5, s: "1", y: "yes", d: "2026-01-01", e: a}
          incoming_allow: true
        video: {any_room: true}
`
	cfg := parsed(t, edited("*rule", text), config.Options{})
	if len(cfg.Cases) != 1 {
		t.Errorf("%d cases", len(cfg.Cases))
	}
	_, err := config.Parse("config.yaml", []byte(edited("*rule", strings.Replace(text, "n: 12345678901,", "n: 12345678902,", 1))), config.Options{Getenv: getenv})
	if err == nil || !strings.Contains(err.Error(), "[test-failed]") {
		t.Errorf("a case that expects another number: %v", err)
	}
}
