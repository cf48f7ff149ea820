package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"twilio-sts/config/rules"
)

// Bounds of a configuration, so that aliases cannot blow it up.
const (
	maxNodes = 1 << 19
	maxDepth = 50
	maxFound = 1000 // diagnostics; nobody mends more at once
	maxLine  = 1000 // bytes of a line that a diagnostic shows
)

// A decoder reads a YAML document and collects what is wrong with it. It works
// on nodes, because a struct decoder neither finds every fault nor knows where
// the values came from.
type decoder struct {
	source    *source
	options   Options
	nodes     map[string]*yaml.Node // what stands at each path that was read
	read      map[string][]byte     // files that the configuration names, by path
	variables map[string]string     // variables that it names
	count     int                   // nodes visited
	found     Diagnostics
	seen      map[Diagnostic]bool
	unread    map[string]bool // paths where nothing stands that can be read
	secret    map[int]bool    // lines that hold a secret, which no diagnostic shows
	hidden    []hidden        // text that none shows, either
	secrets   map[string]bool // those of it that are written out
	searched  bool            // for secrets in the text
}

func newDecoder(file string, data []byte, o Options) *decoder {
	if o.Getenv == nil {
		o.Getenv = func(string) (string, bool) { return "", false }
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	return &decoder{
		source: newSource(file, data), options: o,
		nodes: map[string]*yaml.Node{}, read: map[string][]byte{}, variables: map[string]string{},
		seen: map[Diagnostic]bool{}, unread: map[string]bool{}, secret: map[int]bool{}, secrets: map[string]bool{},
	}
}

// root parses the document and returns its top.
func (d *decoder) root(data []byte) (value, bool) {
	if f, at := notText(d.source.text); f.ID != "" {
		d.add(at, at, f)
		return value{}, false
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		d.syntax(err)
		return value{}, false
	}
	return d.value("", doc.Content[0]), true
}

// notText returns a fault, and its place, where text is not what YAML can be
// written in. The parser would not say where, and would take UTF-16.
func notText(text string) (f Diagnostic, at int) {
	for at, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[at:], "\ufffd"):
			return Diagnostic{ID: "not-utf-8", Message: fmt.Sprintf("the byte 0x%02x is not UTF-8", text[at]), Hint: "save the file as UTF-8"}, at
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == '\ufffe', c == '\uffff':
			return Diagnostic{ID: "control-character", Message: fmt.Sprintf("the character %U is not allowed", c)}, at
		}
	}
	return Diagnostic{}, 0
}

// syntax records what the YAML parser says.
func (d *decoder) syntax(err error) {
	at, message := 0, err.Error()
	var load *yaml.LoadError
	if errors.As(err, &load) {
		at, message = d.source.offset(load.Mark.Line, load.Mark.Column), strings.TrimPrefix(load.Message, "yaml: ")
	}
	f := Diagnostic{ID: "yaml-syntax", Message: message}
	if at > 0 && strings.TrimSpace(d.source.text[at:]) == "" && load.ContextMark.Line > 0 {
		at = d.source.offset(load.ContextMark.Line, load.ContextMark.Column)
		f.Hint = "what begins here is not closed"
	}
	switch {
	case strings.Contains(message, "no documents"):
		f = Diagnostic{ID: "empty-file", Message: "the file is empty"}
	case strings.Contains(message, "multiple"):
		at = d.secondDocument()
		f = Diagnostic{ID: "second-document", Message: "a second document begins here", Hint: "a configuration is one document"}
	default:
		first, _ := d.source.place(at)
		if strings.Contains(d.source.line(first), "\t") && strings.Contains(message, "cannot start any token") {
			f.Hint = "YAML is indented with spaces, not with tabs"
		}
		if strings.Contains(message, "mapping values are not allowed") {
			f.Hint = "put the whole value in quotes: a colon and a space begin a mapping"
		}
		if m := braced.FindStringSubmatch(d.source.line(first)); m != nil && m[1] != "" { // in brackets, { is YAML's
			f.Hint = fmt.Sprintf("write {env: %s}", m[1])
		} else if m != nil {
			f.Hint = "put a value with ${ in it in quotes"
		}
		// A quoted word at the start of a plain value ends the value in YAML's
		// eyes, and the parser complains far from there.
		for n := first; n <= min(first+200, len(d.source.lines)); n++ {
			key, quoted := leadingQuote(d.source.line(n))
			if quoted >= 0 {
				at = d.source.lines[n-1] + quoted
				f.Message = "the text goes on behind its closing quote"
				f.Hint = fmt.Sprintf("put the whole value in quotes, or write it below %s: |", key)
				break
			}
		}
	}
	d.add(at, at, f)
}

// braced finds ${, and what is in it where that is the name of a variable.
var braced = regexp.MustCompile(`[\[{,:]\s*\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?`)

// leadingQuote finds a value such as 'x' in claims.groups on a line: the key,
// and the offset of the quote, -1 where there is none.
func leadingQuote(line string) (key string, quoted int) {
	before, after, ok := strings.Cut(line, ": ")
	trimmed := strings.TrimLeft(after, " ")
	if !ok || trimmed == "" || trimmed[0] != '\'' && trimmed[0] != '"' {
		return "", -1
	}
	end := strings.IndexByte(trimmed[1:], trimmed[0])
	if end < 0 {
		return "", -1
	}
	behind := strings.TrimLeft(trimmed[end+2:], " ")
	if behind == "" || strings.ContainsAny(behind[:1], "#,}]'\"") {
		return "", -1
	}
	return strings.TrimLeft(before, " -"), len(line) - len(trimmed)
}

// secondDocument returns where the second document begins.
func (d *decoder) secondDocument() int {
	seen, ended := false, false
	for i := range d.source.lines {
		line := d.source.line(i + 1)
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' || text[0] == '%' && !seen {
			continue
		}
		if seen && (ended || strings.HasPrefix(line, "---")) {
			return d.source.lines[i]
		}
		seen, ended = true, strings.HasPrefix(line, "...")
	}
	return 0
}

// add records f for the text between two offsets, as much of it as stands on
// one line, or for the character at from where there is none between.
func (d *decoder) add(from, to int, f Diagnostic) {
	if len(d.found) >= maxFound && (f.Warning || d.faulty()) {
		return
	}
	f.File = d.source.file
	f.Line, f.Column = d.source.place(from)
	if line := d.source.line(f.Line); len(line) <= maxLine {
		f.Source = printable(line)
	}
	rest := strings.TrimRight(d.source.text[from:max(from, to)], "\r\n")
	if i := strings.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	f.Length = max(1, utf8.RuneCountInString(rest))
	d.redact(&f)
	if d.seen[f] || d.unread[f.Path] { // a value that is read twice, or cannot be read, is at fault once
		return
	}
	d.seen[f] = true
	d.unread[f.Path] = f.ID == "missing-value" || f.ID == "wrong-type"
	d.found = append(d.found, f)
}

// printable puts a mark in the place of what a terminal would obey.
func printable(line string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\t' {
			return utf8.RuneError
		}
		return c
	}, line)
}

// at records f for what stands at a node: all of it where it is one line.
func (d *decoder) at(n *yaml.Node, f Diagnostic) {
	from := d.source.start(n)
	to := from
	if n.Kind == yaml.ScalarNode {
		to = d.source.within(n, len(n.Value))
		switch n.Style &^ yaml.TaggedStyle {
		case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
			to++ // the closing quote
		case yaml.LiteralStyle, yaml.FoldedStyle:
			to = from
		}
	}
	d.add(from, to, f)
}

// fault records what package rules found.
func (d *decoder) fault(r rules.Fault) {
	f := Diagnostic{Path: r.Path, ID: r.ID, Warning: r.Warning, Message: r.Message, Hint: r.Hint}
	n := d.nearest(r.Path)
	if n.Kind == yaml.ScalarNode {
		// The end of the text is where it ends for the eye.
		if end := len(strings.TrimRight(n.Value, " \t\n")); end > 0 && r.Offset > end {
			r.Offset, r.Length = end, 0
		}
	}
	if r.Unfinished && d.isCutOff(n) {
		f.Hint = "what follows a blank and a # is a comment: put the whole value in quotes"
	}
	if end := r.Offset + r.Length; n.Kind == yaml.ScalarNode && end > 0 && end <= len(n.Value) {
		d.add(d.source.within(n, r.Offset), d.source.within(n, end), f)
		return
	}
	d.at(n, f)
}

// isCutOff reports whether a comment follows a plain value on its line.
func (d *decoder) isCutOff(n *yaml.Node) bool {
	const notPlain = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Kind != yaml.ScalarNode || n.Style&notPlain != 0 {
		return false
	}
	rest := d.source.text[d.source.within(n, len(n.Value)):]
	return strings.HasPrefix(strings.TrimLeft(rest, " \t"), "#")
}

// nearest returns the node at a path, or at the closest path above it.
func (d *decoder) nearest(path string) *yaml.Node {
	for {
		if n := d.nodes[path]; n != nil || path == "" {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// A value is what stands at a path of the document; node is nil when nothing
// does.
type value struct {
	d    *decoder
	path string
	node *yaml.Node
}

// value checks what is wrong with any node: tags, and aliases, which it
// resolves.
func (d *decoder) value(path string, n *yaml.Node) value {
	d.count++
	switch {
	case d.count > maxNodes || strings.Count(path, ".")+strings.Count(path, "[") > maxDepth:
		if d.count <= maxNodes+1 {
			d.at(n, Diagnostic{Path: path, ID: "too-large", Message: "the document is too large, or too deep, with its aliases expanded"})
		}
		d.count = maxNodes + 2
		return value{d: d, path: path}
	case n.Kind == yaml.AliasNode:
		return d.value(path, n.Alias)
	}
	d.nodes[path] = n
	if d.isTagged(path, n) {
		return value{d: d, path: path}
	}
	return value{d, path, n}
}

// isTagged reports, and faults, an explicit tag. The parser does not tell of a
// lone exclamation mark, without which a condition says the opposite.
func (d *decoder) isTagged(path string, n *yaml.Node) bool {
	tag := n.Tag
	if n.Style&yaml.TaggedStyle == 0 {
		if tag = "!"; !strings.HasPrefix(d.source.text[d.source.content(n):], tag) {
			return false
		}
	}
	d.at(n, Diagnostic{Path: path, ID: "yaml-tag", Message: tag + " is a YAML tag, and the value behind it is all there is",
		Hint: "put the whole value in quotes"})
	return true
}

func (v value) isSet() bool { return v.node != nil }

// isNull reports, and faults, a value that is empty.
func (v value) isNull() bool {
	if v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" && v.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		v.fault("missing-value", "a value is missing", "")
		return true
	}
	return false
}

func (v value) fault(id, message, hint string) {
	v.d.at(v.node, Diagnostic{Path: v.path, ID: id, Message: message, Hint: hint})
}

func (v value) warn(id, message, hint string) {
	v.d.at(v.node, Diagnostic{Path: v.path, ID: id, Message: message, Hint: hint, Warning: true})
}

func (v value) faultf(id, format string, args ...any) { v.fault(id, fmt.Sprintf(format, args...), "") }

// isEmpty reports whether there is a list with nothing in it.
func (v value) isEmpty() bool {
	return v.isSet() && v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0
}

// is reports whether the value is set and of this kind, and faults it when it
// is set to anything else.
func (v value) is(kind yaml.Kind, want string) bool {
	switch {
	case !v.isSet() || v.isNull():
		return false
	case v.node.Kind != kind:
		v.fault("wrong-type", "this is "+kindName(v.node.Kind)+", and "+want+" is wanted", "")
		return false
	}
	return true
}

func kindName(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// An object is a mapping with known keys.
type object struct {
	value
	members map[string]value
	keys    []string // as written
}

// object reads a mapping whose keys are among known; known nil means any.
// ok is false when it is not a mapping.
func (v value) object(known ...string) (o object, ok bool) {
	o = object{value: v, members: map[string]value{}}
	if !v.is(yaml.MappingNode, "a mapping") {
		return o, false
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, content := v.node.Content[i], v.node.Content[i+1]
		path := join(v.path, key.Value)
		switch {
		case key.Tag == "!!merge" || key.Value == "<<" && key.Style == 0:
			v.d.at(key, Diagnostic{Path: v.path, ID: "merge-key", Message: "merge keys are not read", Hint: "write the keys out, or use an alias for a whole value"})
			continue
		case key.Kind != yaml.ScalarNode:
			v.d.at(key, Diagnostic{Path: v.path, ID: "invalid-key", Message: "a key is a word"})
			continue
		case v.d.isTagged(v.path, key):
			continue
		case first[key.Value] != nil:
			v.d.at(key, Diagnostic{Path: path, ID: "duplicate-key", Message: fmt.Sprintf("%s is written twice, first in line %d", key.Value, first[key.Value].Line)})
			continue
		}
		first[key.Value] = key
		if known != nil && !slices.Contains(known, key.Value) {
			hint := didYouMean(key.Value, known, "known here: "+strings.Join(known, ", "))
			if before, after, ok := strings.Cut(key.Value, ":"); ok && slices.Contains(known, before) { // {env:NAME}
				hint = fmt.Sprintf("a blank is missing behind the colon: %s: %s", before, after)
			}
			v.d.at(key, Diagnostic{Path: path, ID: "unknown-key", Message: fmt.Sprintf("%q is not a key here", key.Value), Hint: hint})
			continue
		}
		o.members[key.Value] = v.d.value(path, content)
		o.keys = append(o.keys, key.Value)
	}
	return o, true
}

// didYouMean hints at the nearest of some words, or else at something else.
func didYouMean(s string, words []string, otherwise string) string {
	if near := rules.Nearest(s, words); near != "" {
		return "did you mean " + near + "?"
	}
	return otherwise
}

// join appends a key to a path, quoted where it is not a word.
func join(path, key string) string {
	for _, c := range key {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return fmt.Sprintf("%s[%q]", path, key)
		}
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// get returns a member, which may not be set.
func (o object) get(key string) value {
	if m, ok := o.members[key]; ok {
		return m
	}
	return value{d: o.d, path: join(o.path, key)}
}

// need returns a member and faults its absence.
func (o object) need(key string) value {
	m, ok := o.members[key]
	if !ok {
		o.d.at(o.node, Diagnostic{Path: o.path, ID: "missing-key", Message: key + " is missing"})
		return value{d: o.d, path: join(o.path, key)}
	}
	return m
}

// list returns the items of a list.
func (v value) list() []value {
	if !v.is(yaml.SequenceNode, "a list") {
		return nil
	}
	items := make([]value, 0, len(v.node.Content))
	for i, n := range v.node.Content {
		if item := v.d.value(fmt.Sprintf("%s[%d]", v.path, i), n); item.isSet() {
			items = append(items, item)
		}
	}
	return items
}

// literal returns a single value as it is written, without what {env} and
// {file} mean elsewhere: names, conditions, test cases. It may be empty.
func (v value) literal() string {
	if !v.is(yaml.ScalarNode, "text") {
		return ""
	}
	return v.node.Value
}

// word returns a single value as it is written, and faults an empty one.
func (v value) word() string {
	v.notEmpty()
	return v.literal()
}

// text returns a string, which {env: NAME} or {file: PATH} may stand for, and
// faults an empty one.
func (v value) text() string {
	v.notEmpty()
	s, _ := v.resolve("")
	return v.replaced(s)
}

// A variable as shells write it, as a whole value and behind env, and a name
// that only variables have.
var (
	shellVariable = regexp.MustCompile(`^\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Z][A-Z0-9_]*))$`)
	shellName     = regexp.MustCompile(`^\$\{?(\w+)\}?$`)
	variableName  = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
)

// replaced returns s, or "" after a fault where it is a variable that nothing
// has replaced. What comes from outside may be a secret and is not shown.
func (v value) replaced(s string) string {
	m := shellVariable.FindStringSubmatch(s)
	switch {
	case m == nil:
		return s
	case v.node.Kind == yaml.MappingNode:
		v.unreadable("unreplaced-variable", "the value is a variable that nothing has replaced", "set it to what that variable holds")
	default:
		v.unreadable("unreplaced-variable", "nothing replaces a variable that is written like this", fmt.Sprintf("write {env: %s}", m[1]+m[2]))
	}
	return ""
}

// unreadable records a fault after which nothing more is said of the value.
func (v value) unreadable(id, message, hint string) {
	v.d.at(v.node, Diagnostic{Path: v.path, ID: id, Message: message, Hint: hint})
	v.d.unread[v.path] = true
}

// notEmpty faults a string with nothing in it.
func (v value) notEmpty() {
	if v.isBlank() {
		v.fault("missing-value", "the value is empty", "")
	}
}

// isBlank reports whether there is a string with nothing in it.
func (v value) isBlank() bool {
	return v.isSet() && v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!str" && strings.TrimSpace(v.node.Value) == ""
}

// template returns a value that may hold ${…}, which {env} and {file} may stand
// for when it holds none.
func (v value) template() rules.Text {
	if !v.isSet() {
		return rules.Text{}
	}
	s, ref := v.resolve("")
	if ref && strings.Contains(s, "$") {
		v.fault("expression-from-outside", "a value from a variable or a file holds a $", "write expressions in the configuration itself")
	}
	return rules.Text{Path: v.path, Source: s}
}

// texts returns a list of strings.
func (v value) texts() []string {
	var out []string
	for _, item := range v.list() {
		out = append(out, item.text())
	}
	return out
}

// secret returns a secret of any bytes. One that is written out is a warning.
// placeholder stands for a missing one under Options.NoSecrets.
func (v value) secret(placeholder string) Secret {
	return v.secretly(func() string { return v.outside(placeholder) })
}

// password is a secret that is sent to somebody, who compares it.
func (v value) password(placeholder string) Secret {
	return v.secretly(func() string { return v.credential(placeholder) })
}

// secretly reads a secret by read, and shows nothing of it.
func (v value) secretly(read func() string) Secret {
	if !v.isSet() {
		return Secret{}
	}
	written := v.node.Kind == yaml.ScalarNode && v.node.Tag != "!!null" && !v.isBlank()
	if written || v.node.Kind != yaml.ScalarNode && !isReference(v.node) {
		v.hide()
	}
	s := read()
	if s == "" {
		return Secret{}
	}
	if written {
		v.warn("secret-in-config", "a secret is written into the configuration", "use {env: NAME} or {file: PATH}")
	}
	return NewSecret(s)
}

// credential returns text that is part of a credential, such as a SID: it has
// neither blanks nor quotes at its ends.
func (v value) credential(placeholder string) string {
	s := v.outside(placeholder)
	padding := func(c rune) bool { return unicode.IsSpace(c) || strings.ContainsRune("'\"`‘’“”\ufeff", c) }
	if strings.TrimFunc(s, padding) != s {
		v.unreadable("padded-secret", "a blank, a line end or a quote stands at an end of the value", "take it away: in a file of variables, quotes and blanks can become part of a value")
		return ""
	}
	return s
}

// outside returns what belongs outside the file, and faults the name of a
// variable in its place.
func (v value) outside(placeholder string) string {
	v.notEmpty()
	s, _ := v.resolve(placeholder)
	if s = v.replaced(s); variableName.MatchString(s) && v.node.Kind == yaml.ScalarNode {
		v.unreadable("unreplaced-variable", "this is the name of a variable, and not what it holds", fmt.Sprintf("write {env: %s}", s))
		return ""
	}
	return s
}

// resolve returns a string and whether it came from outside the file. A
// variable or file that is missing or empty is a fault, or under
// Options.NoSecrets the placeholder, where there is one: part of a credential.
func (v value) resolve(placeholder string) (s string, ref bool) {
	if !v.isSet() || v.isNull() {
		return "", false
	}
	if v.node.Kind != yaml.MappingNode {
		return v.literal(), false
	}
	o, _ := v.object("env", "file")
	env, file := o.get("env"), o.get("file")
	switch {
	case env.isSet() == file.isSet():
		if !hasNoBlank(v.node) {
			v.fault("wrong-type", "this is a mapping, and text is wanted, or {env: NAME} or {file: PATH}", "")
		}
		v.d.unread[v.path] = true
		return "", true
	case placeholder != "" && v.d.options.IssuerURL != nil:
		return placeholder, true // no credential is read
	case env.isSet():
		name := env.word()
		if s, ok := v.d.options.Getenv(name); ok && s != "" {
			v.d.variables[name] = s
			v.d.conceal(s, "{env: "+name+"}", v.path)
			return s, true
		}
		if v.d.options.NoSecrets && placeholder != "" {
			return placeholder, true
		}
		if name != "" {
			hint := missingHint(placeholder)
			if m := shellName.FindStringSubmatch(name); m != nil {
				hint = fmt.Sprintf("write {env: %s}", m[1])
			}
			env.fault("unset-variable", fmt.Sprintf("the variable %s is not set", name), hint)
		}
	default:
		path := file.word()
		data, err := v.d.file(path)
		if s := trimNewline(string(data)); err == nil && s != "" {
			v.d.conceal(s, "{file: "+path+"}", v.path)
			return s, true
		}
		if v.d.options.NoSecrets && placeholder != "" {
			return placeholder, true
		}
		if err == nil {
			err = errEmptyFile
		}
		if path != "" {
			file.fault("unreadable-file", fileError(err), missingHint(placeholder))
		}
	}
	v.d.unread[v.path] = true
	return "", true
}

// isReference reports whether a node is a mapping that was meant to be
// {env: NAME} or {file: PATH}: its other keys would be shown.
func isReference(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i].Value; key != "env" && key != "file" && !hasNoBlank(n) {
			return false
		}
	}
	return true
}

// hasNoBlank reports whether a mapping is {env:NAME} or {file:PATH}, of which
// is said already that a blank is missing.
func hasNoBlank(n *yaml.Node) bool {
	return len(n.Content) == 2 && (strings.HasPrefix(n.Content[0].Value, "env:") || strings.HasPrefix(n.Content[0].Value, "file:"))
}

// missingHint says how to do without a variable or file that a placeholder can
// stand for.
func missingHint(placeholder string) string {
	if placeholder == "" {
		return ""
	}
	return "where there are no secrets, check, test, explain and diff go on without it: --no-secrets"
}

var errEmptyFile = errors.New("the file is empty")

// trimNewline takes one newline off the end, as editors leave one there.
func trimNewline(s string) string {
	if before, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(before, "\r")
	}
	return s
}

// file reads a file that the configuration names, relative to it.
func (d *decoder) file(path string) ([]byte, error) {
	path = d.resolvePath(path)
	data, err := d.options.ReadFile(path)
	if err == nil {
		d.read[path] = data
	}
	return data, err
}

func (d *decoder) resolvePath(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.source.file), path)
}

// fileError leaves out the operation, which says nothing to an operator.
func fileError(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Path + ": " + pe.Err.Error()
	}
	return err.Error()
}

// boolean returns a bool, or def when it is not set.
func (v value) boolean(def bool) bool {
	if !v.is(yaml.ScalarNode, "true or false") {
		return def
	}
	if v.node.Tag != "!!bool" {
		v.fault("wrong-type", "this is not true or false", "")
		return def
	}
	return strings.EqualFold(v.node.Value, "true")
}

// integer returns a whole number of at least 0, or def when it is not set.
func (v value) integer(def int) int {
	if !v.is(yaml.ScalarNode, "a number") {
		return def
	}
	n, err := strconv.ParseUint(v.node.Value, 10, 31)
	if err != nil || v.node.Tag != "!!int" {
		v.fault("wrong-type", "this is not a whole number of at least 0", "")
		return def
	}
	return int(n)
}

// duration returns a duration of whole seconds, or def when it is not set.
func (v value) duration(def time.Duration) time.Duration {
	if !v.is(yaml.ScalarNode, "a duration") {
		return def
	}
	d, err := time.ParseDuration(v.node.Value)
	switch {
	case err != nil:
		v.fault("invalid-duration", fmt.Sprintf("%q is not a duration", v.node.Value), "write 30s, 15m or 12h")
		return def
	case d < 0 || d%time.Second != 0:
		v.fault("invalid-duration", "a duration is whole seconds, and not negative", "")
		return def
	}
	return d
}
