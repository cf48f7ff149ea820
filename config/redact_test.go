package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

// redactConfig loads; its API key's secret is in the variable KEY.
const redactConfig = `version: 1
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: {env: KEY}
issuers:
  - {name: idp, issuer: "https://idp.example.com", audiences: [app], identity: "idp__${escape(claims.sub)}"}
rules:
  - {name: all, when: "true", grants: {sync: {service_sid: default}}}
`

// theSecret is what no diagnostic may show; values are those of variables.
const theSecret = "hunter2hunter2"

func redactEnv(name string) (string, bool) {
	value, ok := map[string]string{"KEY": "AsecretThatIsNoAuthTokenAtAll123", "TOKEN": theSecret, "URL": "https://" + theSecret + ".example/", "PATTERN": "x(" + theSecret, "ODD": "a\"é\n" + theSecret}[name]
	return value, ok
}

// TestNoDiagnosticShowsASecret breaks a configuration in ways in which people
// do, where a secret is written out. Each has a fault, and none shows it.
func TestNoDiagnosticShowsASecret(t *testing.T) {
	t.Parallel()
	const key = "api_key_secret: {env: KEY}"
	const s = theSecret
	if _, err := config.Parse("config.yaml", []byte(redactConfig), config.Options{Getenv: redactEnv}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another kind: a list":                  strings.Replace(redactConfig, key, "api_key_secret:\n      - "+s, 1),
		"another kind: a list, not indented":    strings.Replace(redactConfig, key, "api_key_secret:\n    - "+s, 1),
		"another kind: a list in brackets":      strings.Replace(redactConfig, key, "api_key_secret: ["+s+"]", 1),
		"another kind: a mapping":               strings.Replace(redactConfig, key, "api_key_secret: {value: "+s+"}", 1),
		"another kind: a mapping below":         strings.Replace(redactConfig, key, "api_key_secret:\n      value: "+s, 1),
		"another kind: its own key":             strings.Replace(redactConfig, key, "api_key_secret: {"+s+": }", 1),
		"another kind: its own key, twice":      strings.Replace(redactConfig, key, "api_key_secret: {"+s+": 1, "+s+": 2}", 1),
		"another kind: beside env":              strings.Replace(redactConfig, key, "api_key_secret: {env: KEY, value: "+s+"}", 1),
		"another kind: a key of a key":          strings.Replace(redactConfig, key, "api_key_secret: {value: {"+s+": 1}}", 1),
		"a tag":                                 strings.Replace(redactConfig, key, "api_key_secret: !"+s+" x", 1),
		"an anchor that is not there":           strings.Replace(redactConfig, key, "api_key_secret: *"+s, 1),
		"an alias":                              redactConfig + "parameters: {p: {enum: [&k " + s + "], default: x}}\naudit: {key: *k}\n",
		"for the variable's name":               strings.Replace(redactConfig, key, "api_key_secret: {env: "+s+"!}", 1),
		"two words":                             strings.Replace(redactConfig, key, "api_key_secret: {the "+s+": }", 1),
		"another spelling: hyphens":             strings.Replace(redactConfig, key, "api-key-secret: "+s, 1),
		"another spelling: capitals":            strings.Replace(redactConfig, key, "apiKeySecret: "+s, 1),
		"another spelling: quoted":              strings.Replace(redactConfig, key, `"API_KEY_SECRET" : `+s, 1),
		"another spelling: two letters swapped": strings.Replace(redactConfig, key, "api_key_sercet: "+s, 1),
		"another name":                          strings.Replace(redactConfig, key, "secret: "+s, 1),
		"another name: of Twilio":               strings.Replace(redactConfig, key, "auth_token: "+s, 1),
		"another name: password":                "password: " + s + "\n" + redactConfig,
		"another name: spelled otherwise":       "identityKey: " + s + "\n" + redactConfig,
		"another place":                         redactConfig + "server:\n  - adminToken: " + s + "\n  - 1\n",
		"no blank":                              strings.Replace(redactConfig, key, "api_key_secret:"+s, 1),
		"no blank, in braces":                   strings.Replace(redactConfig, "  - name: main\n", "  - {name: x, api_key_secret:"+s+"}\n  - name: main\n", 1),
		"no blank, a part of the name":          strings.Replace(redactConfig, "name: main", "name: main\n        api_key_secret:"+s, 1),
		"no colon":                              strings.Replace(redactConfig, key, "api_key_secret "+s, 1),
		"no colon, in braces":                   redactConfig + "server: {admin_token " + s + "}\n",
		"an equals sign":                        strings.Replace(redactConfig, key, "api_key_secret = "+s, 1),
		"indented too far":                      strings.Replace(redactConfig, key, "  api_key_secret: "+s, 1),
		"indented too little":                   strings.Replace(redactConfig, key, " api_key_secret: "+s, 1)[1:],
		"below, not indented":                   strings.Replace(redactConfig, key, "api_key_secret:\n"+s, 1),
		"a block, not indented":                 strings.Replace(redactConfig, key, "api_key_secret: |\n"+s, 1),
		"a block, with a tab":                   strings.Replace(redactConfig, key, "api_key_secret: |\n\t"+s, 1),
		"a key of its own":                      strings.Replace(redactConfig, key, "? api_key_secret\n    : {"+s+"\n", 1),
		"text goes on behind the quote":         strings.Replace(redactConfig, key, "api_key_secret: 'x' "+s, 1),
		"the quote is not closed":               strings.Replace(redactConfig, key, `api_key_secret: "`+s, 1),
		"an escape that is none":                strings.Replace(redactConfig, key, `api_key_secret: "\q`+s+`"`, 1),
		"beside a fault":                        strings.Replace(redactConfig, "  - name: main\n", "  - {name: X, api_key_secret: "+s+"}\n  - name: main\n", 1),
		"in a comment beside a fault":           strings.Replace(redactConfig, key, "api_key_secret: {env: NONE} # was "+s, 1),
		"in a comment that holds the key":       strings.Replace(redactConfig, "name: main", "name: X # api_key_secret: "+s, 1),
		"audit.key, not closed":                 redactConfig + "audit: {key: " + s + "\n",
		"audit.key, below, not closed":          redactConfig + "audit: {\n  key: " + s + "\n",
		"audit.key, misspelt":                   redactConfig + "audit: {kye: " + s + "}\n",
		"audit, misspelt":                       redactConfig + "adit:\n  key: " + s + "\n  - 1\n",
		"audit.key, no blank":                   redactConfig + "audit: {key:" + s + "}\n",
		"audit.key, a tag":                      redactConfig + "audit: {key: !" + s + " x}\n",
		"audit, in JSON":                        redactConfig + `"audit": {"key": "` + s + `"` + "\n",
		"redis, not closed":                     redactConfig + `store: {redis: {url: "redis://:` + s + `@h"}` + "\n",
		"redis, misspelt":                       redactConfig + "store: {redis: {urll: redis://:" + s + "@h}}\n",
		"redis, without url":                    redactConfig + "store: {redis: redis://:" + s + "@h, x: }\n",
		"redis, elsewhere":                      redactConfig + "redis: redis://:" + s + "@h\n",
		"redis, no scheme":                      redactConfig + "store:\n  redis:\n    url: \":" + s + "@h\n",
		"redis, for the variable":               redactConfig + "store: {redis: {url: {env: \"redis://:" + s + "@h\"}}}\n",
		"before the file is read":               redactConfig + "admin_token: " + s + "\n\t- [\n",
		"all of it in JSON":                     `{"version": 1, "accounts": [{"name": "X", "api_key_secret": "` + s + `"}], "audit": {"key": "` + s + `", "x": }}`,
	} {
		_, err := config.Parse("config.yaml", []byte(text), config.Options{Getenv: redactEnv})
		var found config.Diagnostics
		switch {
		case !errors.As(err, &found):
			t.Errorf("%s: no fault: %v\n%s", name, err, text)
		case strings.Contains(err.Error(), s[:8]), strings.Contains(found[0].Path+found[0].Message+found[0].Hint, s[:8]):
			t.Errorf("%s:\n%s", name, err)
		}
	}
}

// TestTooManySecrets has more secrets than are looked for: nothing is said that
// could hold one.
func TestTooManySecrets(t *testing.T) {
	t.Parallel()
	text := redactConfig + "server: {"
	for i := range 1001 {
		text += fmt.Sprintf("admin_token:%s%d, ", theSecret, i)
	}
	_, err := config.Parse("config.yaml", []byte(text+"x: }\n"), config.Options{Getenv: redactEnv})
	first, _, _ := strings.Cut(err.Error(), "\n")
	if want := "config.yaml:11:10: this is not shown: too many secrets are written into the configuration [unknown-key]"; first != want || strings.Contains(err.Error(), theSecret) {
		t.Errorf("got %.300s\nwant %s", err, want)
	}
}

// TestDiagnosticsNameWhereAValueIsFrom has values of variables and of a file be
// at fault: what is said names the variable or the file.
func TestDiagnosticsNameWhereAValueIsFrom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte(theSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const text = `version: 1
server:
  listen: {env: TOKEN}
  public_url: {file: ./x}
  allowed_origins: [{env: ODD}, {env: URL}]
  trusted_proxies: [{env: TOKEN}]
  tls: {cert_file: {env: TOKEN}, key_file: {file: x}}
accounts:
  - {name: main, account_sid: {env: TOKEN}, api_key_sid: {file: x}, api_key_secret: {env: KEY}, region: {env: TOKEN}}
parameters:
  a: {pattern: {env: PATTERN}, default: {env: TOKEN}}
  b: {enum: [x], default: {env: TOKEN}}
audit: {subjects: {env: TOKEN}}
issuers:
  - name: idp
    issuer: {env: URL}
    provider: {env: TOKEN}
    tenants: [{env: TOKEN}]
    audiences: [app]
    algorithms: [{env: TOKEN}]
    jwks_uri: {env: ODD}
    claims: {level: {env: TOKEN}}
    allowed_origins: [{env: TOKEN}]
    identity: "idp__${escape(claims.sub)}"
rules:
  - name: all
    when: "true"
    account: {env: TOKEN}
    identity: {env: TOKEN}
    grants: {chat: {service_sid: {env: TOKEN}}, task_router: {workspace_sid: {file: x}, role: worker}}
`
	// With what it grants in a test that fails.
	granting := strings.Replace(redactConfig, "default", "{env: TOKEN}", 1) +
		"tests:\n  - {name: t, issuer: idp, claims: {sub: a}, expect: {grants: {sync: {service_sid: x}}}}\n"
	var got strings.Builder
	for _, text := range []string{text, granting} {
		_, err := config.Parse(filepath.Join(dir, "config.yaml"), []byte(text), config.Options{Getenv: redactEnv, NoSecrets: true})
		var found config.Diagnostics
		if !errors.As(err, &found) {
			t.Fatalf("no fault: %v", err)
		}
		for _, d := range found {
			got.WriteString(strings.TrimSpace(strings.NewReplacer(dir, "DIR", "`", "'").Replace(d.Path+": "+d.Message+" ["+d.ID+"] "+d.Hint)) + "\n")
		}
		if strings.Contains(err.Error(), theSecret[:8]) {
			t.Errorf("a value is shown:\n%s", err)
		}
	}
	if diff := cmp.Diff(fromElsewhere, got.String()); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}

const fromElsewhere = `server.listen: {env: TOKEN} is not host:port [invalid-address] write 127.0.0.1:8080, or :8080 for every interface
server.public_url: {file: ./x} is not the public URL of a service [invalid-url] write https://token.example.com, without a slash at the end
server.allowed_origins[0]: {env: ODD} is not an origin [invalid-origin] write scheme://host or scheme://host:port, without a slash at the end
server.allowed_origins[1]: {env: URL} is not an origin [invalid-origin] write scheme://host or scheme://host:port, without a slash at the end
server.trusted_proxies[0]: {env: TOKEN} is not an IP address or a range of them [invalid-address] write 10.0.0.0/8
server.tls.cert_file: DIR/{env: TOKEN}: no such file or directory [unreadable-file]
accounts[0].account_sid: this is not a SID of kind AC [invalid-sid] a SID of this kind is AC and 32 hex digits
accounts[0].api_key_sid: this is not a SID of kind SK [invalid-sid] a SID of this kind is SK and 32 hex digits
accounts[0].region: {env: TOKEN} has no meaning here [unknown-value] write us1 or ie1 or au1
parameters.a.pattern: missing closing ): '{env: PATTERN}' [invalid-pattern]
parameters.b.default: the default is not a value that the parameter allows [invalid-default]
audit.subjects: {env: TOKEN} has no meaning here [unknown-value] write hashed or plain
issuers[0].provider: {env: TOKEN} is not a provider here [unknown-provider] there are google, auth0, okta, entra, apple, cognito, firebase, keycloak, gitlab, dex, zitadel, supabase, clerk
issuers[0].tenants: tenants goes with {tenantid} in issuer [useless-tenants]
issuers[0].tenants[0]: {env: TOKEN} is not a tenant's id [invalid-tenant] write the directory's GUID in lower case
issuers[0].algorithms[0]: {env: TOKEN} is not an algorithm here [unknown-algorithm] there are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA
issuers[0].jwks_uri: {env: ODD} is not a URL of keys [invalid-url] it is https
issuers[0].claims.level: {env: TOKEN} is not a type of claims [unknown-type] the types are string, int, double, bool and list(string), list(int), list(double), list(bool)
issuers[0].allowed_origins[0]: {env: TOKEN} is not an origin [invalid-origin] write scheme://host or scheme://host:port, without a slash at the end
issuers[0].allowed_origins[0]: server.allowed_origins does not list {env: TOKEN} [unknown-origin] an issuer's origins narrow the server's
rules[0].account: no account is named {env: TOKEN} [unknown-account]
rules[0].grants.chat.service_sid: {env: TOKEN} is not a SID: IS and 32 hex digits [invalid-value]
rules[0].grants.task_router.workspace_sid: {file: x} is not a SID: WS and 32 hex digits [invalid-value]
tests[0].expect.grants: test "t": got {"sync":{"service_sid":{env: TOKEN}}} [test-failed] want {"sync":{"service_sid":"x"}}; twilio-sts explain shows each step
`
