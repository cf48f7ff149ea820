package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twilio-sts/config"
)

// readmeWait bounds each command that the README shows.
const readmeWait = 30 * time.Second

// TestREADME does what the README says, in its order and in one folder: loads
// its configurations, runs its commands against a dev server of its own, and
// compares what they answer with the block that follows.
//
// A yaml block is a whole configuration, and is config.yaml from there on. A
// json or text block is the answer of the sh block before it, where … stands
// for anything.
func TestREADME(t *testing.T) {
	r := &readme{dir: t.TempDir()}
	blocks := fencedBlocks(t)
	for i, b := range blocks {
		name := "line " + strconv.Itoa(b.line)
		switch b.lang {
		case "sh":
			var want *block
			if i+1 < len(blocks) && (blocks[i+1].lang == "json" || blocks[i+1].lang == "text") {
				want = &blocks[i+1]
			}
			r.script(t, name, b.text, want)
		case "yaml":
			r.configuration(t, name, b.text)
		case "js":
			r.javaScript(t, name, b.text)
		case "json", "text":
			if i == 0 || blocks[i-1].lang != "sh" {
				t.Errorf("%s: an answer without a command", name)
			}
		default:
			t.Errorf("%s: nothing runs a block of %q", name, b.lang)
		}
	}
	if !r.tested {
		t.Error("go test ./... is not there")
	}
}

// A readme is the state of somebody who follows the README.
type readme struct {
	dir     string
	exports string            // export lines so far, as in one terminal
	dev     *strings.Replacer // the README's addresses by those of the dev server; nil before it runs
	tested  bool
}

// A block is a fenced block.
type block struct {
	line       int
	lang, text string
}

func readREADME(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func fencedBlocks(t *testing.T) []block {
	t.Helper()
	var blocks []block
	var open *block
	for i, line := range strings.Split(readREADME(t), "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 1, lang: lang}
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("line %d: a block without an end", open.line)
	}
	return blocks
}

// script runs an sh block. Four commands need more than a shell: they run
// until stopped, or are what is running.
func (r *readme) script(t *testing.T, name, text string, want *block) {
	t.Helper()
	const goRun = "go run ./cmd/twilio-sts "
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case line == "go test ./...":
			r.tested = true
		case line == "go install ./cmd/twilio-sts":
			list := exec.Command("go", "list", "-f", "{{.Name}}", "./cmd/twilio-sts")
			list.Dir = root
			if out, err := list.CombinedOutput(); err != nil || string(out) != "main\n" {
				t.Errorf("%s: %s: %v %s", name, line, err, out)
			}
		case strings.HasPrefix(line, goRun):
			r.startDev(t, strings.Fields(strings.TrimPrefix(line, goRun)))
		case line == "twilio-sts serve":
			r.moveListeners(t)
			lines = append(lines,
				"twilio-sts serve & server=$!",
				"until twilio-sts healthcheck; do kill -0 $server; done",
				"kill -TERM $server; wait $server")
		default:
			lines = append(lines, line)
		}
		if strings.HasPrefix(line, "export ") {
			r.exports += line + "\n"
		}
	}
	if lines == nil {
		return
	}
	t.Run(name, func(t *testing.T) {
		got := r.shell(t, "set -e\n"+r.exports+r.local(strings.Join(lines, "\n")))
		if want != nil {
			want.match(t, got)
		}
	})
}

// local puts the dev server's addresses in the place of the README's.
func (r *readme) local(text string) string {
	if r.dev == nil {
		return text
	}
	return r.dev.Replace(text)
}

func (r *readme) shell(t *testing.T, script string) string {
	t.Helper()
	return r.output(t, exec.CommandContext(limited(t), "sh", "-c", script))
}

// output runs cmd, which is to succeed, and returns what it prints.
func (r *readme) output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), readmeWait)
	t.Cleanup(cancel)
	return ctx
}

// configuration loads a yaml block, and keeps it for the commands that follow.
func (r *readme) configuration(t *testing.T, name, text string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		cfg, err := config.Parse("README.md", []byte(text), config.Options{NoSecrets: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(cfg.Warnings) > 0 {
			t.Error(cfg.Warnings)
		}
	})
	r.write(t, "config.yaml", text)
}

// moveListeners makes config.yaml listen where nothing else does.
func (r *readme) moveListeners(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	listen := fmt.Sprintf("server:\n  listen: %s\n  admin_listen: \"\"\n", l.Addr())
	moved := regexp.MustCompile(`(?m)^server:\n`).ReplaceAllLiteralString(string(content), listen)
	if moved == string(content) {
		moved += listen
	}
	r.write(t, "config.yaml", moved)
}

func (r *readme) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// javaScript calls the function of a js block for the dev server's customer.
func (r *readme) javaScript(t *testing.T, name, text string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		node, err := exec.LookPath("node")
		if err != nil && os.Getenv("TWILIO_STS_REQUIRE") == "" {
			t.Skip("node is not installed")
		}
		idToken := r.shell(t, r.local("curl -s 'http://127.0.0.1:8082/dev/id_token?persona=customer'"))
		text := strings.Replace(text, "https://token.example.com", r.local("http://127.0.0.1:8080"), 1) +
			"twilioToken(process.argv[2], {room: 'support'}).then(a => console.log(a.identity, a.scope))\n" +
			"twilioToken('x').catch(e => console.log(e.reason, e.action, e.message))\n"
		r.write(t, "page.js", text)
		got := strings.Split(strings.TrimSpace(r.output(t, exec.CommandContext(limited(t), node, "page.js", strings.TrimSpace(idToken)))), "\n")
		for _, want := range []string{"dev__auth0_7C5f7c chat sync video", "malformed_token fix_request the ID token is malformed"} {
			if !slices.Contains(got, want) {
				t.Errorf("printed %q, want a line %q", got, want)
			}
		}
	})
}

// startDev runs dev as the README says, but on free ports, and waits until it
// says that it has shown its exchange.
func (r *readme) startDev(t *testing.T, args []string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	dev := exec.CommandContext(ctx, "twilio-sts", append(args, "--listen=127.0.0.1:0", "--provider-listen=127.0.0.1:0")...)
	var stderr bytes.Buffer
	dev.Dir, dev.Stderr = r.dir, &stderr
	dev.Cancel = func() error { return dev.Process.Signal(os.Interrupt) }
	stdout, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		dev.Wait() // its error is that it was interrupted
	})
	silent := time.AfterFunc(readmeWait, stop)
	defer silent.Stop()
	var said strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if lines.Text() != "Ctrl-C stops it." {
			continue
		}
		addresses := regexp.MustCompile(`(?:token service|identity provider) +(http://[0-9.:]+)`).FindAllStringSubmatch(said.String(), -1)
		if len(addresses) != 2 {
			t.Fatalf("dev does not say where it is:\n%s", said.String())
		}
		r.dev = strings.NewReplacer("http://127.0.0.1:8080", addresses[0][1], "http://127.0.0.1:8082", addresses[1][1])
		return
	}
	t.Fatalf("dev ended:\n%s%s", said.String(), stderr.Bytes())
}

// match compares what a command printed with the block that shows it.
func (b *block) match(t *testing.T, got string) {
	t.Helper()
	if b.lang == "json" {
		got, b.text = indented(t, got), indented(t, b.text)
	}
	parts := strings.Split(b.text, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	if !regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(got) {
		t.Errorf("line %d: got\n%s\nwant\n%s", b.line, got, b.text)
	}
}

// indented is the JSON text with its members sorted.
func indented(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestREADMENamesEveryReason holds the error table against the code.
func TestREADMENamesEveryReason(t *testing.T) {
	text := readREADME(t)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "config/rules/reason.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok {
				reasons++
				if reason := strings.Trim(literal.Value, `"`); !strings.Contains(text, "`"+reason+"`") {
					t.Errorf("the README does not name %s", reason)
				}
			}
		}
		return true
	})
	if reasons == 0 {
		t.Error("no reasons were found to look for")
	}
}

// TestREADMENamesOnlyWhatIsThere looks up the README's commands and links.
func TestREADMENamesOnlyWhatIsThere(t *testing.T) {
	text := readREADME(t)
	for _, match := range regexp.MustCompile("`twilio-sts ([a-z]+)").FindAllStringSubmatch(text, -1) {
		if out, err := exec.CommandContext(limited(t), "twilio-sts", match[1], "--help").CombinedOutput(); err != nil {
			t.Errorf("twilio-sts %s: %v\n%s", match[1], err, out)
		}
	}
	for _, match := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		switch link, err := url.Parse(match[1]); {
		case err != nil:
			t.Error(err)
		case link.Fragment != "":
			heading := strings.ReplaceAll(link.Fragment, "-", " ")
			if !strings.Contains(strings.ToLower(text), "\n## "+heading+"\n") {
				t.Errorf("no heading for #%s", link.Fragment)
			}
		case !link.IsAbs():
			if _, err := os.Stat(filepath.Join(root, link.Path)); err != nil {
				t.Error(err)
			}
		}
	}
}
