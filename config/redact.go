package config

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"twilio-sts/config/rules"
)

// Diagnostics end up in the logs of CI, where more people read them than may
// see a secret. They show no line on which a secret may stand, however the
// document is broken or its keys are misspelt, and, of what comes from a
// variable or a file, the name alone: with them somebody else's change to the
// configuration could read the machine it is checked on.

// A hidden is a text that no diagnostic shows.
type hidden struct {
	text  string
	shown string   // in its place
	path  string   // where it is used; "" for a secret that is written out
	forms []string // the text as it is, and as it is quoted
}

const (
	secretShown = "<secret>"
	// minHidden is the least length at which a text is hidden wherever it
	// occurs. A shorter one is too likely to be part of another word.
	minHidden = 6
	// The lengths from which a part of a text tells too much of it in what is
	// said of it: a message is made for it, a hint mostly is not.
	minShared, minSharedHint = 8, 12
	// maxSecrets bounds the secrets that are looked for in messages. A document
	// that seems to hold more gets none.
	maxSecrets = 1000
)

// conceal has text hidden.
func (d *decoder) conceal(text, shown, path string) {
	if text == "" || path == "" && (d.secrets[text] || len(d.secrets) > maxSecrets) {
		return
	}
	if path == "" {
		d.secrets[text] = true
	}
	h := hidden{text, shown, path, []string{text}}
	encoded, _ := json.Marshal(text) // a string has JSON
	for _, quoted := range []string{strconv.Quote(text), string(encoded)} {
		if form := quoted[1 : len(quoted)-1]; !slices.Contains(h.forms, form) {
			h.forms = append(h.forms, form)
		}
	}
	// The longest first: another may be a part of it.
	i, _ := slices.BinarySearchFunc(d.hidden, h, func(a, b hidden) int { return cmp.Compare(len(b.text), len(a.text)) })
	d.hidden = slices.Insert(d.hidden, i, h)
}

// redact takes out of f what it must not show.
func (d *decoder) redact(f *Diagnostic) {
	if !d.searched {
		d.searched = true
		d.findSecrets()
	}
	if d.secret[f.Line] {
		f.Source = ""
	}
	if len(d.secrets) > maxSecrets {
		f.Path, f.Message, f.Hint = "", "this is not shown: too many secrets are written into the configuration", ""
		return
	}
	for _, h := range d.hidden { // first what f is about: others may have the same value
		if h.isAbout(f.Path) {
			h.redact(f, true)
		}
	}
	for _, h := range d.hidden {
		h.redact(f, false)
	}
}

// isAbout reports whether the text is used at, or above, a path.
func (h *hidden) isAbout(path string) bool {
	below, ok := strings.CutPrefix(path, h.path)
	return ok && h.path != "" && (below == "" || below[0] == '.' || below[0] == '[')
}

func (h *hidden) redact(f *Diagnostic, own bool) {
	f.Message, f.Hint = h.replace(f.Message, own), h.replace(f.Hint, own)
	if own && share(f.Message, h.text, minShared) {
		f.Message = "what " + h.shown + " stands for is not valid here"
	}
	if own && share(f.Hint, h.text, minSharedHint) {
		f.Hint = ""
	}
	if h.path != "" {
		return
	}
	f.Path = pathPart.ReplaceAllStringFunc(f.Path, func(part string) string {
		if part == h.text || part[0] == '[' {
			return h.replace(part, false)
		}
		return part
	})
}

// A part of a path: a word, or text in brackets and quotes.
var pathPart = regexp.MustCompile(`\["(?:[^"\\]|\\.)*"\]|[^.\[\]]+`)

// replace puts what may be shown in the place of the text, as it is or as it is
// quoted; own says that s is about it.
func (h *hidden) replace(s string, own bool) string {
	if s == "" || !own && len(h.text) < minHidden {
		return s
	}
	for _, form := range h.forms {
		if !strings.Contains(s, form) {
			continue
		}
		s = strings.ReplaceAll(s, `"`+form+`"`, h.shown)
		if len(h.text) >= minHidden {
			s = strings.ReplaceAll(s, form, h.shown)
		}
	}
	return s
}

// share reports whether s has n bytes in a row of text.
func share(s, text string, n int) bool {
	for i := 0; i+n <= len(text) && s != ""; i++ {
		if strings.Contains(s, text[i:i+n]) {
			return true
		}
	}
	return false
}

// hide keeps the lines of a value, and what stands there, out of every
// diagnostic.
func (v value) hide() { v.d.hideNode(v.node) }

func (d *decoder) hideNode(n *yaml.Node) {
	first, _ := d.source.place(d.source.start(n))
	last := first
	if n.Kind == yaml.ScalarNode {
		last, _ = d.source.place(d.source.within(n, len(n.Value)))
		d.concealSecret(n.Value)
	}
	for line := first; line <= last; line++ {
		d.secret[line] = true
	}
	for _, child := range n.Content {
		d.hideNode(child)
	}
}

// concealSecret hides a secret, and each word of it.
func (d *decoder) concealSecret(text string) {
	for _, word := range append(strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t,{}[]\"'", c) }), text) {
		word = strings.Trim(word, ":=*&!|>\"'")
		if isVariable := shellName.MatchString(word) && word[0] == '$' || variableName.MatchString(word); len(word) >= minHidden && !isVariable {
			d.conceal(word, secretShown, "")
		}
	}
}

// Words that have a secret behind them or may have one, and keys of a
// configuration that look like it, in lower case and with neither - nor _.
var (
	secretWords  = []string{"admintoken", "apikeysecret", "identitykey"}
	suspectWords = []string{"secret", "token", "passw", "passphrase", "credential"}
	plainWords   = []string{"tokens", "notbeyondidtoken", "maxtokenage", "env", "file"}
	sections     = []string{"version", "server", "accounts", "tokens", "identitykey", "issuers", "parameters", "limits", "audit", "store", "rules", "tests"}
)

var noDashes = strings.NewReplacer("-", "", "_", "")

var (
	word = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_-]*`)
	// What stands around a word that is a key, and one that lacks its colon.
	asKey     = regexp.MustCompile(`^["']?\s*[:=]`)
	asLoneKey = regexp.MustCompile(`^["']?(\s|$)`)
	keyBefore = regexp.MustCompile(`(^|[{,?-])\s*["']?$`)
	// Values that are no secret: {env: NAME} or {file: PATH}, and the same below.
	reference = regexp.MustCompile(`^\{\s*["']?(env["']?\s*:\s*["']?[\w${}]+?|file["']?\s*:\s*["']?[^"'{},#]+?)["']?\s*\}`)
	blockRef  = regexp.MustCompile(`^\s*["']?(env|file)["']?\s*:\s*[^\s#]+\s*$`)
	openValue = regexp.MustCompile(`^([|>][-+0-9]*|[{\[]|&\S+)?\s*(#.*)?$`) // goes on below
	inFlow    = regexp.MustCompile(`^(.*?)\s*[,}\]]+\s*(["']?[\w-]+["']?\s*:.*)?$`)
	redisURL  = regexp.MustCompile(`(?i)\brediss?:/*[^\s"']+`)
)

// findSecrets looks for secrets in the text itself: where the document is
// broken, or a key is misspelt, nothing else knows them. It rather hides a line
// too many.
func (d *decoder) findSecrets() {
	section := ""
	for i := range d.source.lines {
		line := d.source.line(i + 1)
		for _, url := range redisURL.FindAllString(line, -1) {
			d.hideLine(i, url)
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		for _, at := range word.FindAllStringIndex(line, -1) {
			before, rest := line[:at[0]], line[at[1]:]
			isKey := asKey.MatchString(rest) && !strings.HasSuffix(before, ".")
			if !isKey && !asLoneKey.MatchString(rest) {
				continue
			}
			name := strings.ToLower(noDashes.Replace(line[at[0]:at[1]]))
			isFirst := strings.Trim(before, " -?\"'") == ""
			if isKey && (isFirst && indent < 2 || line[indent] == '{' && slices.Contains(sections, name)) {
				section = cmp.Or(rules.Nearest(name, sections), section)
			}
			sure, suspect := false, false
			if isKey {
				sure, suspect = isSecretWord(name, section)
			}
			switch {
			case suspect:
				rest = strings.TrimSpace(asKey.ReplaceAllString(rest, ""))
			case slices.Contains(secretWords, name) && keyBefore.MatchString(before) && asLoneKey.MatchString(rest):
				rest = strings.Trim(rest, " \"'")
				sure = true
			default:
				continue
			}
			column := indent + 1
			if isFirst {
				column = at[0]
			}
			d.hideValue(i, column, rest, sure && !strings.Contains(before, "#"))
		}
	}
}

// isSecretWord reports whether there is a secret behind a key of this name, or
// may be.
func isSecretWord(name, section string) (sure, suspect bool) {
	if slices.Contains(plainWords, name) {
		return false, false
	}
	near := func(word string) bool { return rules.Nearest(word, []string{name}) != "" } // by the length of word
	sure = slices.ContainsFunc(secretWords, near) || section == "audit" && near("key") || section == "store" && near("url")
	return sure, sure || near("key") || near("url") || slices.ContainsFunc(suspectWords, func(w string) bool { return strings.Contains(name, w) })
}

// hideValue hides what stands behind a key on line i, and what is below the
// key's column. Of what is surely a secret it hides the text everywhere.
func (d *decoder) hideValue(i, column int, rest string, sure bool) {
	if rest != "" && strings.Contains(",}]", rest[:1]) {
		return // nothing stands there
	}
	if ref := reference.FindString(rest); ref != "" {
		if strings.Contains(rest[len(ref):], "#") { // a comment may hold the one before
			d.hideLine(i, "")
		}
		return
	}
	secret := func(text string) string {
		text, _, _ = strings.Cut(text, " #")
		if !sure {
			return ""
		}
		return text
	}
	open := openValue.MatchString(rest)
	if !open {
		d.hideLine(i, secret(valueOf(rest)))
	}
	for first := true; i+1 < len(d.source.lines); i++ {
		line := d.source.line(i + 2)
		trimmed := strings.TrimLeft(line, " \t")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		indent := len(line) - len(trimmed)
		isBelow := indent > column || indent == column && strings.HasPrefix(trimmed, "-")
		if name := word.FindString(trimmed); !isBelow && (!first || !open || name != "" && strings.HasPrefix(trimmed, name) && asKey.MatchString(trimmed[len(name):])) {
			return
		}
		first = false
		switch {
		case open && blockRef.MatchString(line):
		case open:
			d.hideLine(i+1, secret(trimmed))
		default:
			d.hideLine(i+1, "")
		}
	}
}

// valueOf is the value that s, behind a key and not empty, begins with: there may
// be other keys behind it.
func valueOf(s string) string {
	switch end := -1; s[0] {
	case '"', '\'':
		if end = strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[:end+2]
		}
	case '{', '[':
		if end = strings.IndexAny(s, "}]"); end >= 0 {
			return s[:end+1]
		}
	default:
		if m := inFlow.FindStringSubmatch(s); m != nil {
			return m[1]
		}
	}
	return s
}

// hideLine hides line i, from 0, and the secret on it.
func (d *decoder) hideLine(i int, secret string) {
	d.secret[i+1] = true
	d.concealSecret(secret)
}
