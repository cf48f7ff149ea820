package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

// watchedConfig names a file of every kind that is not a certificate. Its
// configuration is told by the identity.
const watchedConfig = `version: 1
accounts:
  - {name: main, account_sid: AC00000000000000000000000000000001, api_key_sid: SK00000000000000000000000000000001, api_key_secret: {file: secret}}
issuers:
  - {name: idp, issuer: "https://idp.example.com", audiences: [app], jwks_file: keys.json, identity: "v1__${escape(claims.sub)}"}
rules:
  - {name: deny, issuer: idp, when: "claims.sub == 'eve'", deny: she knows}
  - {name: all, issuer: idp, when: "claims.sub != ''", grants: {sync: {service_sid: default}}}
`

// A watch is a watched configuration in a directory of its own, and what came of
// it.
type watch struct {
	*watched
	t    *testing.T
	dir  string
	said []string
	last *config.Config // that was served
}

func newWatch(t *testing.T) *watch {
	w := &watch{t: t, dir: t.TempDir()}
	w.watched = &watched{
		path: w.file("config.yaml"),
		serve: func(cfg *config.Config) {
			w.last = cfg
			w.said = append(w.said, "served")
		},
		failed: func(err error) {
			text := slog.AnyValue(err).Resolve().String()
			w.said = append(w.said, strings.ReplaceAll(text, w.dir+string(filepath.Separator), ""))
		},
	}
	return w
}

func (w *watch) file(name string) string { return filepath.Join(w.dir, name) }

func (w *watch) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watch) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start loads what serve begins with.
func (w *watch) start() {
	w.t.Helper()
	cfg, err := w.load(&program{}, slog.New(slog.DiscardHandler))
	w.must(err)
	w.last = cfg
}

// looks looks so many times.
func (w *watch) looks(n int) {
	for range n {
		if w.changed() {
			w.reload(&program{}, slog.New(slog.DiscardHandler))
		}
	}
}

// want compares what was said since the last call.
func (w *watch) want(lines ...string) {
	w.t.Helper()
	if diff := cmp.Diff(lines, w.said); diff != "" {
		w.t.Errorf("(-want +got):\n%s", diff)
	}
	w.said = nil
}

const (
	keys1 = `{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	keys2 = `{"keys":[{"kty":"EC","crv":"P-256","kid":"k2","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
)

func (w *watch) writeAll() {
	w.write("config.yaml", watchedConfig)
	w.write("secret", "ASecretOfTheseTestsAlone00000001\n")
	w.write("keys.json", keys1)
}

func version(n int) string { return strings.Replace(watchedConfig, "v1__", fmt.Sprintf("v%d__", n), 1) }

// TestWatch has the ways in which files change.
func TestWatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		run  func(w *watch)
	}{
		{"nothing", func(w *watch) {
			w.looks(4)
			w.want()
		}},
		{"the same, written again", func(w *watch) {
			w.looks(1)
			w.writeAll()
			w.looks(3)
			w.want()
		}},
		{"written in place", func(w *watch) {
			w.write("config.yaml", version(2))
			w.looks(1)
			w.want()
			w.looks(1)
			w.want("served")
			w.looks(3)
			w.want()
		}},
		{"a secret", func(w *watch) {
			w.write("secret", "ASecretOfTheseTestsAlone00000002\n")
			w.looks(2)
			w.want("served")
			if got := w.last.Accounts[0].APIKeySecret.Reveal(); got != "ASecretOfTheseTestsAlone00000002" {
				w.t.Errorf("the secret is %q", got)
			}
		}},
		{"keys", func(w *watch) {
			w.write("keys.json", keys2)
			w.looks(2)
			w.want("served")
			if got := string(w.last.Issuers[0].JWKS); got != keys2 {
				w.t.Errorf("the keys are %s", got)
			}
		}},
		{"an editor's rename", func(w *watch) {
			w.write("config.yaml~", version(2))
			w.must(os.Rename(w.file("config.yaml~"), w.file("config.yaml")))
			w.looks(2)
			w.want("served")
		}},
		{"away, and back with another content", func(w *watch) {
			w.looks(1)
			w.must(os.Remove(w.file("config.yaml")))
			w.looks(1)
			w.write("config.yaml", version(2))
			w.looks(1)
			w.want()
			w.looks(1)
			w.want("served")
		}},
		{"away for good", func(w *watch) {
			w.must(os.Remove(w.file("config.yaml")))
			w.looks(4)
			w.want("open config.yaml: no such file or directory")
			w.write("config.yaml", version(2))
			w.looks(2)
			w.want("served")
		}},
		{"half a file that would be a valid one", func(w *watch) {
			w.looks(1)
			half, _, _ := strings.Cut(version(2), "  - {name: deny")
			half += "  - {name: all, issuer: idp, when: \"claims.sub != ''\", grants: {sync: {service_sid: default}}}\n"
			if _, err := config.Parse(w.path, []byte(half), config.Options{}); err != nil {
				w.t.Fatal(err)
			}
			w.write("config.yaml", half)
			w.looks(1)
			w.write("config.yaml", version(2))
			w.looks(1)
			w.want()
			w.looks(1)
			w.want("served")
			if w.last.Rules.Len() != 2 {
				w.t.Errorf("%d rules", w.last.Rules.Len())
			}
		}},
		{"a bad file, and a good one", func(w *watch) {
			w.write("config.yaml", strings.Replace(strings.Replace(version(2), "when: \"claims", "when: \"claim", 2), "version: 1", "version: 2", 1))
			w.looks(5)
			w.want(`config.yaml:1:10: version: this program reads version 1 [unknown-version], the first of 3 faults`)
			w.write("config.yaml", version(2))
			w.looks(2)
			w.want("served")
		}},
		{"a bad file, and the old one", func(w *watch) {
			w.write("config.yaml", "rules: 'a' in b")
			w.looks(2)
			w.want(`config.yaml:1:8: the text goes on behind its closing quote [yaml-syntax]`)
			w.write("config.yaml", watchedConfig)
			w.looks(2)
			w.want("served")
		}},
		{"a bad file whose secret comes later", func(w *watch) {
			w.write("config.yaml", strings.Replace(version(2), "{file: secret}", "{file: new}", 1))
			w.looks(3)
			w.want(`config.yaml:3:139: accounts[0].api_key_secret.file: new: no such file or directory [unreadable-file]`)
			w.write("new", "ASecretOfTheseTestsAlone00000003\n")
			w.looks(2)
			w.want("served")
		}},
		{"a test that fails", func(w *watch) {
			w.write("config.yaml", version(2)+"tests:\n  - {name: a, issuer: idp, claims: {sub: a}, expect: {identity: v1__a}}\n")
			w.looks(2)
			w.want(`config.yaml:10:65: tests[0].expect.identity: test "a": got "v2__a" [test-failed]`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWatch(t)
			w.writeAll()
			w.start()
			test.run(w)
		})
	}
}

// TestWatchConfigMap has Kubernetes replace a mounted volume: ..data, to which
// every name is a link, becomes a link to another directory.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	generation := func(name string, n int) {
		w.must(os.Mkdir(w.file(name), 0o700))
		w.write(filepath.Join(name, "config.yaml"), version(n))
		w.write(filepath.Join(name, "secret"), fmt.Sprintf("ASecretOfTheseTestsAlone0000000%d\n", n))
		w.write(filepath.Join(name, "keys.json"), keys1)
	}
	generation("..2026_01_01", 1)
	w.must(os.Symlink("..2026_01_01", w.file("..data")))
	for _, name := range []string{"config.yaml", "secret", "keys.json"} {
		w.must(os.Symlink(filepath.Join("..data", name), w.file(name)))
	}
	w.start()
	w.looks(2)
	w.want()

	generation("..2026_01_02", 2)
	w.must(os.Symlink("..2026_01_02", w.file("..data_tmp")))
	w.must(os.Rename(w.file("..data_tmp"), w.file("..data")))
	w.must(os.RemoveAll(w.file("..2026_01_01")))
	w.looks(2)
	w.want("served")
	if got := w.last.Accounts[0].APIKeySecret.Reveal(); got != "ASecretOfTheseTestsAlone00000002" {
		t.Errorf("the secret is %q", got)
	}
	w.looks(2)
	w.want()
}

// TestReloadOfOneTime has files change between the first and the last that a
// load reads: what it read is not served.
func TestReloadOfOneTime(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	w.writeAll()
	w.start()
	w.write("config.yaml", version(2))
	meanwhile := &program{getenv: func(string) (string, bool) {
		w.write("config.yaml", version(3))
		return "AC00000000000000000000000000000003", true
	}}
	withVariable := strings.Replace(version(2), "account_sid: AC00000000000000000000000000000001", "account_sid: {env: AC}", 1)
	w.write("config.yaml", withVariable)
	w.reload(meanwhile, slog.New(slog.DiscardHandler))
	w.want()
	w.looks(1)
	w.want("served")
	if got := w.last.Accounts[0].AccountSID; got != "AC00000000000000000000000000000001" {
		t.Errorf("the account is %s", got)
	}
}

// TestWatchPipe has a configuration that can be read once.
func TestWatchPipe(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	w.writeAll()
	r, pipe, err := os.Pipe()
	w.must(err)
	defer r.Close()
	go func() {
		io.WriteString(pipe, strings.NewReplacer("{file: secret}", "{file: "+w.file("secret")+"}", "keys.json", w.file("keys.json")).Replace(watchedConfig))
		pipe.Close()
	}()
	w.path = fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(w.path); err != nil {
		t.Skip("there is no /dev/fd here")
	}
	w.start()
	w.looks(3)
	w.want()
}
