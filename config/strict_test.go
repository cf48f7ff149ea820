package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The parts of a configuration with nothing in it that is optional.
const (
	anAccount = `  - name: main
    account_sid: {env: TWILIO_ACCOUNT_SID}
    api_key_sid: {env: TWILIO_API_KEY_SID}
    api_key_secret: {env: TWILIO_API_KEY_SECRET}
`
	anIssuer = `  - name: idp
    issuer: https://idp.example/
    audiences: [app]
    identity: "idp_${escape(claims.sub)}"
`
	aRule = `  - name: all
    when: "true"
    grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}
`
	plainest = "version: 1\naccounts:\n" + anAccount + "issuers:\n" + anIssuer + "rules:\n" + aRule
)

// edited returns the plainest configuration with one text in the place of
// another: the whole of it, a part, a line, or behind its end.
func edited(from, to string) string {
	switch from {
	case "":
		return plainest + to
	case "*":
		return to
	case "*account":
		from = anAccount
	case "*issuer":
		from = anIssuer
	case "*rule":
		from = aRule
	}
	before, after, ok := strings.Cut(plainest, from)
	if !ok {
		panic(from + " is not there")
	}
	return before + to + after
}

// A strictCase is the plainest configuration with an edit that is a fault.
type strictCase struct{ name, from, to string }

func (s strictCase) text() string { return edited(s.from, s.to) }

// TestStrict holds what is said of each kind of fault, wherever it can be made,
// against testdata/strict.out.
func TestStrict(t *testing.T) {
	t.Parallel()
	const golden = "testdata/strict.out"
	files := map[string]string{"nothing": "", "newline": "\r\n", "dollar": "${claims.sub}\n", "padded": "itIsInAFile\n\n", "tls.crt": "x"}
	want := map[string]string{}
	if data, err := os.ReadFile(golden); err == nil {
		for section := range strings.SplitSeq(strings.TrimPrefix(string(data), "== "), "\n== ") {
			name, text, _ := strings.Cut(section, "\n")
			want[name] = text
		}
	}
	var all strings.Builder
	for _, tt := range strictCases() {
		got := diagnose(t, tt.text(), files)
		fmt.Fprintf(&all, "== %s\n%s\n", tt.name, got)
		if !*update {
			t.Run(tt.name, func(t *testing.T) {
				if diff := cmp.Diff(strings.TrimSuffix(want[tt.name], "\n"), got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func strictCases() []strictCase {
	return []strictCase{
		{"a mapping of nothing", "*", "{}"},
		{"a single value", "*", "text"},
		{"null", "*", "~"},
		{"a document that is only begun", "*", `---
...
`},
		{"not UTF-8", "  - name: all\n", "  - name: al\xff\n"},
		{"UTF-16", "*", "\xff\xfev\x00"},
		{"a control character", "  - name: all\n", "  - name: a\x07l\n"},
		{"a second document behind dots", "", `...
version: 1
`},
		{"a second document behind dots and a comment", "", `...
# more
---
version: 1
`},
		{"a directive for the first document alone", "*", `%YAML 1.1
---
- a
---
- b
`},
		{"a colon inside plain text", "    when: \"true\"\n", "    when: claims.sub == 'a' ? b: c\n"},
		{"values that a comment cuts off", "*rule", `  - {name: flow, when: claims.sub == 'x #y'
     , ttl: 1h}
  - name: block
    when: claims.sub == 'x	#y'
    ttl: 1h
  - name: lines
    when: claims.sub == 'x' ||
      claims.sub == # y
    ttl: 1h
  - name: template
    when: "true"
    identity: a__${escape(claims.sub #)}
    ttl: 1h
  - name: quoted
    when: "claims.sub == 'x" # y
    ttl: 1h
  - name: other
    when: claims.sub = 'x' # y
    ttl: 1h
`},
		{"quotes inside an open one", "    when: \"true\"\n", "    when: \"a\" == claims.sub\n"},
		{"an alias of nothing", "    grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}\n", "    grants: *nothing\n"},
		{"a byte order mark, and a fault behind it", "version: 1\n", "\ufeffversion: 2\n"},
		{"a duplicate key, its first far away", "", "version: 1\n"},
		{"a duplicate key in data", "", `tests:
  - {name: t, claims: {a: {b: 1, b: 2}}, expect: {refused: denied}}
`},
		{"a secret under a duplicate key", "    api_key_secret: {env: TWILIO_API_KEY_SECRET}\n", `    api_key_secret: {env: TWILIO_API_KEY_SECRET}
    api_key_secret: itStandsHere
`},
		{"a secret under a wrong list", "accounts:\n  - name: main\n", `accounts:
  - name: main
    identity_key: itStandsHere
`},
		{"a key that is a list", "", `? [a]
: b
`},
		{"a key with a tag", "", "!!str server: {}\n"},
		{"a key that is empty", "", "\"\": 1\n"},
		{"a key that is null", "", "~: 1\n"},
		{"a key no word comes near", "", "x: 1\n"},
		{"a merge key", "    audiences: [app]\n", `    audiences: [app]
    <<: {provider: okta}
`},
		{"merge keys in a list", "", "server: {<<: [{listen: a}, {listen: b}]}\n"},
		{"a merge key in quotes is a key", "", "server: {\"<<\": x}\n"},
		{"a tag on text", "    when: \"true\"\n", "    when: !!str true\n"},
		{"a tag without a name", "    when: \"true\"\n", "    when: ! claims.sub\n"},
		{"a tag on a list", "    audiences: [app]\n", "    audiences: !!seq [app]\n"},
		{"a tag in data", "", `tests:
  - {name: t, claims: {a: !!int "1"}, expect: {refused: denied}}
`},
		{"a tag behind an alias", "", "server: {listen: &a !x b, admin_listen: *a}\n"},
		{"a local tag that CEL would read", "    audiences: [app]\n", `    audiences: [app]
    require: [!has(claims.email)]
`},
		{"null sections", "", `server:
tokens: ~
identity_key: null
parameters:
limits:
audit:
store:
tests:
`},
		{"null in an issuer", "    audiences: [app]\n", `    audiences:
    provider:
    tenants:
    trusted_audiences: [~]
    algorithms:
    allowed_azp:
    clock_skew:
    max_token_age:
    max_lifetime:
    max_uses:
    jwks_uri:
    jwks_file:
    ca_file:
    allowed_origins:
    backchannel_logout:
    wait_for_keys:
    claims: {a: }
    require:
    insecure_identity:
`},
		{"null in a rule", "*rule", `  - name:
    when:
    issuer:
    ttl:
    expires:
    account:
    identity:
    insecure_identity:
    grants: {chat: , sync: {service_sid: }, voice: {incoming_allow: , outgoing_params: {a: }}, video: {any_room: }}
  - {name: b, when: 'true', deny: }
  - 
`},
		{"null in a test", "", `tests:
  - {name: , issuer: , claims: , request: {a: }, scope: , at: , expect: {identity: , account: , ttl: , scope: , grants: , refused: }}
  - {name: t, claims: {a: ~}, expect: }
`},
		{"null elsewhere", "", `server: {listen: , admin_listen: , admin_token: , public_url: , allowed_origins: , trusted_proxies: [~], tls: {cert_file: , key_file: }}
parameters: {a: , b: {pattern: , default: }, c: {enum: [~]}}
limits: {per_ip: }
audit: {file: , key: , claims: [~], subjects: , on_failure: }
store: {redis: {url: , on_failure: }}
`},
		{"empty text in an issuer", "*issuer", `  - name: ""
    issuer: ""
    provider: ''
    tenants: [""]
    audiences: [" "]
    algorithms: [""]
    clock_skew: ""
    jwks_uri: ""
    jwks_file: ""
    claims: {a: ""}
    require: [" "]
    insecure_identity: " "
`},
		{"empty text in a rule", "*rule", `  - {name: "", when: 'true', issuer: "", deny: ""}
  - {name: b, when: "  ", issuer: [""], expires: "", account: "", identity: "", ttl: ""}
`},
		{"empty text elsewhere", "", `server: {listen: "", admin_listen: "", admin_token: "", public_url: "", allowed_origins: [""], trusted_proxies: [""], tls: {cert_file: "", key_file: ""}}
identity_key: ""
parameters: {b: {pattern: ""}, c: {enum: [""]}}
limits: {per_ip: ""}
audit: {file: "", key: "", claims: [""], subjects: "", on_failure: ""}
store: {redis: {url: ""}}
tests: [{name: "", issuer: "", at: "", expect: {refused: ""}}]
`},
		{"empty text in an account", "*account", `  - {name: "", account_sid: "", api_key_sid: "", api_key_secret: "", region: ""}
  - {name: "", account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}}
`},
		{"empty lists", "", `server: {allowed_origins: [], trusted_proxies: []}
parameters: {a: {enum: []}}
tests: []
audit: {claims: []}
`},
		{"no accounts, issuers, rules", "*", `version: 1
accounts: []
issuers: []
rules: []
`},
		{"no algorithms", "    audiences: [app]\n", `    audiences: [app]
    algorithms: []
`},
		{"mappings for lists and the other way round", "*", `version: [1]
server: []
accounts: {}
tokens: x
issuers: {}
parameters: []
limits: []
audit: []
store: []
rules: {}
tests: {}
`},
		{"lists for text", "", `server: {listen: [], public_url: {}, allowed_origins: x, insecure_any_origin: [], tls: x}
identity_key: [a]
tokens: {ttl: [1h], not_beyond_id_token: {}}
limits: {per_ip: {}}
audit: {subjects: [], claims: x}
store: {redis: x}
`},
		{"wrong kinds in an issuer", "    audiences: [app]\n", `    audiences: app
    max_uses: [1]
    clock_skew: {}
    wait_for_keys: 1
    claims: [a]
    require: x
    provider: [okta]
    algorithms: RS256
    insecure_identity: [x]
`},
		{"wrong kinds in a rule", "*rule", `  - name: [a]
    when: true
    issuer: {a: b}
    deny: {a: b}
    grants: x
  - {name: b, when: [x], account: [], identity: {}, ttl: 3600, expires: 2027, grants: {chat: x, video: {room: [], any_room: 1}, voice: {incoming_allow: [], outgoing_params: x}, sync: {service_sid: {a: b}}}}
  - {name: c, when: 'true', grants: {}}
  - {name: d, when: 'true', issuer: [any, idp], ttl: 1h}
`},
		{"deny as if it were a switch", "*rule", `  - {name: a, when: "true", deny: false}
  - {name: b, when: "true", deny: "no"}
  - {name: c, when: "true", deny: Off, grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}}
  - {name: d, when: "true", deny: true}
  - {name: e, when: "true", deny: no more of this}
`},
		{"parameters of a test that are not declared", "", `parameters: {visit: {pattern: "[a-z]+"}}
tests:
  - {name: t, request: {vist: a}, expect: {identity: idp_a}}
  - {name: u, request: {visit: a, platform: b}, expect: {identity: idp_a}}
`},
		{"wrong kinds in a test", "", `tests:
  - x
  - {name: [], issuer: [], claims: [], request: x, scope: {}, at: [], expect: x}
  - {name: t, claims: {a: 1}, request: {a: [b]}, expect: {identity: [], ttl: x, scope: {}, grants: x, refused: []}}
  - {name: u, expect: {refused: denied, ttl: 1h}}
`},
		{"numbers", "    identity: \"idp_${escape(claims.sub)}\"\n", `    identity: "idp_${escape(claims.sub)}"
    max_uses: -1
  - {name: b, issuer: 'https://b/', audiences: [x], max_uses: 1.0}
  - {name: c, issuer: 'https://c/', audiences: [x], max_uses: 0x1}
  - {name: d, issuer: 'https://d/', audiences: [x], max_uses: '1'}
  - {name: e, issuer: 'https://e/', audiences: [x], max_uses: 1_000}
  - {name: f, issuer: 'https://f/', audiences: [x], max_uses: 2147483648}
  - {name: g, issuer: 'https://g/', audiences: [x], max_uses: 1e3}
`},
		{"a version that is no whole number", "version: 1\n", "version: 1.0\n"},
		{"a version that is text", "version: 1\n", "version: \"1\"\n"},
		{"durations", "    identity: \"idp_${escape(claims.sub)}\"\n", `    identity: "idp_${escape(claims.sub)}"
  - {name: b, issuer: 'https://b/', audiences: [x], clock_skew: 60}
  - {name: c, issuer: 'https://c/', audiences: [x], clock_skew: 1m30}
  - {name: d, issuer: 'https://d/', audiences: [x], clock_skew: 500ms}
  - {name: e, issuer: 'https://e/', audiences: [x], clock_skew: 1.5s}
  - {name: f, issuer: 'https://f/', audiences: [x], clock_skew: -1s}
  - {name: g, issuer: 'https://g/', audiences: [x], clock_skew: 1d}
  - {name: h, issuer: 'https://h/', audiences: [x], clock_skew: 60 s}
  - {name: i, issuer: 'https://i/', audiences: [x], clock_skew: '1h '}
  - {name: j, issuer: 'https://j/', audiences: [x], clock_skew: 5m1s}
  - {name: k, issuer: 'https://k/', audiences: [x], clock_skew: 9999999h}
`},
		{"lifetimes", "", "tokens: {ttl: 0s, max_ttl: 24h}\n"},
		{"a lifetime over the most, in tokens and in a rule", "    grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}\n", `    ttl: 24h
    grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}
tokens: {ttl: 2h, max_ttl: 1h}
`},
		{"rates", "", "limits: {per_ip: 20/S, per_subject: 1.5/s, failures_per_ip: -1/s}\n"},
		{"more rates", "", "limits: {per_ip: 20 / s, per_subject: +5/s, failures_per_ip: 99999999999999999999/s}\n"},
		{"still more rates", "", "limits: {per_ip: 20/sec, per_subject: 020/s, failures_per_ip: false}\n"},
		{"truth", "", `server: {insecure_any_origin: yes}
tokens: {not_beyond_id_token: 'true'}
`},
		{"numbers in data", "", `tests:
  - {name: t, claims: {a: 0x1, b: 0o7, c: 1_0, d: .nan, e: -.inf, f: 010, g: 1e999, h: +1, i: .5, j: 1., k: -0}, expect: {refused: denied}}
`},
		{"dates", "*rule", `  - {name: r0, when: 'true', ttl: 1h, expires: 2027-1-1}
  - {name: r1, when: 'true', ttl: 1h, expires: 2027-02-30}
  - {name: r2, when: 'true', ttl: 1h, expires: 2027-01-01T00:00:00Z}
  - {name: r3, when: 'true', ttl: 1h, expires: 20270101}
`},
		{"variables", "*issuer", `  - name: {env: IDP}
    issuer: {env: NOT_SET}
    audiences: [{env: EMPTY}, {env: ""}, {env: [A]}, {env: {env: A}}, {env: A, file: b}, {evn: A}, {}]
    identity: {env: DOLLAR}
`},
		{"variables as shells write them", "*account", `  - {name: main, account_sid: $TWILIO_ACCOUNT_SID, api_key_sid: TWILIO_API_KEY_SID, api_key_secret: "${TWILIO_API_KEY_SECRET}", region: $REGION}
  - {name: b, account_sid: {env: $TWILIO_ACCOUNT_SID}, api_key_sid: {env:TWILIO_API_KEY_SID}, api_key_secret: TWILIO_API_KEY_SECRET}
  - {name: c, account_sid: {env: "${NOT_SET}"}, api_key_sid: {env: SHELL}, api_key_secret: {env: SHELL}}
`},
		{"variables as shells write them, elsewhere", "    audiences: [app]\n", `    audiences: ["${CLIENT_ID}", $CLIENT_ID, $client, a$B]
    jwks_uri: ${JWKS_URI}
    ca_file: {file: $CA_FILE}
`},
		{"a variable as shells write it, in brackets", "    audiences: [app]\n", "    audiences: [${CLIENT_ID}]\n"},
		{"an expression in brackets", "    grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}\n", "    grants: {chat: {service_sid: ${claims.service}}}\n"},
		{"blanks and quotes around credentials", "*account", `  - {name: main, account_sid: {env: PADDED}, api_key_sid: {file: padded}, api_key_secret: {env: QUOTED}}
  - {name: b, account_sid: "AC0123456789abcdef0123456789abcdef ", api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {file: padded}}
  - {name: c, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: " itStandsHere"}
server: {admin_token: {env: QUOTED}}
store: {redis: {url: {env: QUOTED}}}
`},
		{"files", "*issuer", `  - name: idp
    issuer: {file: nowhere}
    audiences: [{file: nothing}, {file: newline}, {file: ""}, {file: ~}]
    identity: {file: dollar}
    jwks_file: nothing
    ca_file: newline
`},
		{"secrets that are missing", "", `identity_key: {file: newline}
server: {admin_token: {file: nothing}}
audit: {key: {env: EMPTY}}
store: {redis: {url: {env: NOT_SET}}}
`},
		{"an admin token that may be guessed", "", "server: {admin_token: {env: DOLLAR}}\n"},
		{"an admin token that no header takes", "", "server: {admin_token: \"sixteen, and blanks\"}\n"},
		{"a secret in the file, which no line shows", "", `identity_key: "itStandsHere itStandsHere
  itStandsHere itStandsHere"
server: {admin_token: 'itStandsHere

  too', listen: x, lisen: y}
audit: {key: 'itStandsHere', subjects: x}
`},
		{"expressions take no reference", "    when: \"true\"\n", "    when: {env: A}\n"},
		{"an Auth Token from outside", "    api_key_secret: {env: TWILIO_API_KEY_SECRET}\n", "    api_key_secret: {env: AUTH_TOKEN}\n"},
		{"SIDs the wrong way round", "*account", `  - {name: main, account_sid: {env: TWILIO_API_KEY_SID}, api_key_sid: {env: TWILIO_ACCOUNT_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}, region: eu1}
  - {name: main, account_sid: ACx, api_key_sid: x, api_key_secret: {env: TWILIO_API_KEY_SECRET}}
`},
		{"any origin, and the flag without it", "", "server: {insecure_any_origin: true, allowed_origins: [\"https://a.example\"]}\n"},
		{"any origin, said twice", "", "server: {insecure_any_origin: true, allowed_origins: [\"*\"]}\n"},
		{"origins", "", "server: {allowed_origins: [\"https://a.example/\", \"https://a.example:443\", \"http://a.example:80\", \"https://A.example\", \"a.example\", \"https://*.example\", null, \"null\", \"https://a.example/x\", \"capacitor://localhost\", \"http://[::1]:3000\", \"ionic://localhost\"]}\n"},
		{"addresses", "", "server: {listen: \"8080\", admin_listen: \"localhost:65536\", trusted_proxies: [10.0.0.0/33, \"fe80::1%eth0\", host, \"10.0.0.1\", \"2001:db8::/32\"]}\n"},
		{"public URLs", "", "server: {public_url: \"https://user@a.example\"}\n"},
		{"a public URL without TLS", "", "server: {public_url: \"http://a.example\"}\n"},
		{"a public URL with a query", "", "server: {public_url: \"https://a.example?\"}\n"},
		{"TLS, the key missing", "", "server: {tls: {cert_file: tls.crt}}\n"},
		{"TLS, one file unreadable", "", "server: {tls: {cert_file: tls.crt, key_file: nowhere}}\n"},
		{"TLS, no certificate", "", "server: {tls: {cert_file: nothing, key_file: dollar}}\n"},
		{"issuers' URLs", "    identity: \"idp_${escape(claims.sub)}\"\n", `    identity: "idp_${escape(claims.sub)}"
  - {name: b, issuer: 'http://b.example', audiences: [x]}
  - {name: c, issuer: 'https://c?x', audiences: [x]}
  - {name: d, issuer: 'https://d#', audiences: [x]}
  - {name: e, issuer: 'https://u:p@e', audiences: [x]}
  - {name: f, issuer: 'https://', audiences: [x]}
  - {name: g, issuer: 'ftp://f', audiences: [x]}
  - {name: h, issuer: '://', audiences: [x]}
`},
		{"issuers that no token has", "*issuer", `  - {name: a, issuer: 'https://acme.eu.auth0.com', audiences: [x], identity: 'a__${escape(claims.sub)}'}
  - {name: b, issuer: 'https://login.acme.example', provider: auth0, audiences: [x], identity: 'b__${escape(claims.sub)}'}
  - {name: c, issuer: 'https://acme.us.auth0.com/.well-known/openid-configuration', provider: auth0, audiences: [x], identity: 'c__${escape(claims.sub)}'}
  - {name: d, issuer: 'https://acme.example/realms/a/.well-known/openid-configuration', audiences: [x], identity: 'd__${escape(claims.sub)}'}
  - {name: e, issuer: 'https://accounts.google.com/', audiences: [x], identity: 'e__${escape(claims.sub)}'}
  - {name: alias, issuer: accounts.google.com, provider: google, audiences: [x], identity: 'alias__${escape(claims.sub)}'}
  - {name: metadata, issuer: 'https://b.example/.well-known/openid-configuration/', audiences: [x], identity: 'metadata__${escape(claims.sub)}'}
  - {name: scheme, issuer: acme.eu.auth0.com/, audiences: [x], identity: 'scheme__${escape(claims.sub)}'}
  - {name: f, issuer: 'https://google.example', provider: google, audiences: [x], identity: 'f__${escape(claims.sub)}'}
  - {name: g, issuer: 'https://acme.okta.com/', audiences: [x], identity: 'g__${escape(claims.sub)}'}
  - {name: h, issuer: 'https://acme.okta.com/oauth2/default/v1', provider: okta, audiences: [x], identity: 'h__${escape(claims.sub)}'}
  - {name: i, issuer: 'https://login.microsoftonline.com/acme.example/v2.0', provider: entra, audiences: [x], identity: 'i__${escape(claims.oid)}'}
  - {name: j, issuer: 'https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555', audiences: [x], identity: 'j__${escape(claims.sub)}'}
  - {name: k, issuer: 'https://login.microsoftonline.com/common/v2.0', audiences: [x], identity: 'k__${escape(claims.sub)}'}
  - {name: l, issuer: 'https://sts.windows.net/11111111-2222-3333-4444-555555555555', audiences: [x], identity: 'l__${escape(claims.sub)}'}
  - {name: m, issuer: 'https://appleid.apple.com/', provider: apple, audiences: [x], identity: 'm__${escape(claims.sub)}'}
  - {name: n, issuer: 'https://acme.auth.eu-west-1.amazoncognito.com', audiences: [x], identity: 'n__${escape(claims.sub)}'}
  - {name: o, issuer: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a/', audiences: [x], identity: 'o__${escape(claims.sub)}'}
  - {name: p, issuer: 'https://securetoken.google.com', audiences: [x], identity: 'p__${escape(claims.sub)}'}
  - {name: q, issuer: 'https://gitlab.com/', provider: gitlab, audiences: [x], identity: 'q__${escape(claims.sub)}'}
  - {name: r, issuer: 'https://abc.supabase.co', audiences: [x], identity: 'r__${escape(claims.sub)}'}
  - {name: s, issuer: 'https://abc.clerk.accounts.dev/', audiences: [x], identity: 's__${escape(claims.sub)}'}
`},
		{"one issuer twice", "    identity: \"idp_${escape(claims.sub)}\"\n", `    identity: "idp_${escape(claims.sub)}"
  - {name: b, issuer: 'https://idp.example/', audiences: [x]}
`},
		{"tenants", "    identity: \"idp_${escape(claims.sub)}\"\n", `    identity: "idp_${escape(claims.sub)}"
  - {name: b, provider: entra, issuer: 'https://login.microsoftonline.com/common/v2.0', audiences: [x]}
  - {name: c, provider: entra, issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0', audiences: [x], tenants: [1, 11111111-2222-3333-4444-55555555555F]}
  - {name: d, provider: nobody, issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0', audiences: [x]}
`},
		{"keys", "    audiences: [app]\n", `    audiences: [app]
    jwks_uri: http://idp.example/keys
    jwks_file: dollar
    ca_file: dollar
`},
		{"an issuer's origins", "    audiences: [app]\n", `    audiences: [app]
    allowed_origins: ["https://a.example", ""]
`},
		{"algorithms", "    audiences: [app]\n", `    audiences: [app]
    algorithms: [hs256, HS512, NONE, rs256, EdDSA, ES256K]
`},
		{"too much skew", "    audiences: [app]\n", `    audiences: [app]
    clock_skew: 5m1s
    max_token_age: 0h
    max_lifetime: 0s
`},
		{"audit claims", "", "audit: {claims: [sub, request.room, [a]]}\n"},
		{"the issuer of a test", "*", `version: 1
accounts:
  - name: main
    account_sid: {env: TWILIO_ACCOUNT_SID}
    api_key_sid: {env: TWILIO_API_KEY_SID}
    api_key_secret: {env: TWILIO_API_KEY_SECRET}
issuers:
  - {name: a, issuer: 'https://a.example', audiences: [x], identity: 'a__${escape(claims.sub)}'}
  - {name: b, issuer: 'https://b.example', audiences: [x], identity: {env: NOT_SET}}
rules:
  - name: all
    when: "true"
    grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}
tests:
  - {name: t, expect: {refused: denied}}
`},
		{"any origin for one issuer", "    audiences: [app]\n", "    audiences: [app]\n    allowed_origins: [\"*\", \"https://a.example\"]\n"},
		{"an anchor of nothing, at the end", "", "tests: &a"},
		{"a block of text where none belongs", "", "tokens:\n  ttl: |\n    soon\n"},
		{"no mappings", "*", "version: 1\naccounts: [x]\nissuers: [x]\nrules: [x]\ntests: [x]\n"},
		{"a document behind comments alone", "*", "# a\n---\n# b\n--- # c\nversion: 1\n"},
		{"a quote that is not closed", "    when: \"true\"\n", "    when: 'a\n"},
	}
}
