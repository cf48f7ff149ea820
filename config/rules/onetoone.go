package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A way is a value that can become somebody's identity.
type way struct {
	issuer  *issuer
	persons [][]string
	path    string
	of      string // as messages name it
	shape   shape
	reads   *automaton // of shape
	// insecure says that the operator answers for it.
	insecure bool
}

// checkIdentities proves that two people never get one identity: not by one
// value, nor by two, of one issuer or of two. What cannot be proven is a fault.
func (c *compiler) checkIdentities(set *Set) {
	var ways []way
	known := map[string]bool{}
	for i := range c.spec.Issuers {
		spec := &c.spec.Issuers[i]
		is := set.issuers[spec.Name]
		add := func(t *template, path, of string, insecure bool, conditions ...*program) {
			if t == nil {
				return
			}
			before := len(c.faults)
			shapes, ok := set.newReader(is, conditions...).shapes(t)
			if !ok {
				c.notProven(path, spec, "it has too many conditions in it to be proven one-to-one", insecure)
				return
			}
			for _, s := range shapes {
				// A way like one before is no other way.
				if key := is.name + "\x00" + s.String(); known[key] {
					continue
				} else if !insecure {
					known[key] = true
				}
				w := way{is, spec.persons(), path, of, s, s.automaton(), insecure}
				switch why := w.confused(&w); {
				case why == "":
					ways = append(ways, w)
				case len(c.faults) == before: // said once for all its shapes
					c.notProven(path, spec, why, insecure)
				}
			}
		}
		add(is.identity, spec.Identity.Path, "issuer "+quote(spec.Name), spec.InsecureIdentity)
		for _, r := range is.rules {
			rs := &c.spec.Rules[r.index]
			add(r.identity, rs.Identity.Path, "rule "+quote(r.name), rs.InsecureIdentity, r.when)
		}
	}
	c.checkOverlaps(ways)
}

// checkOverlaps compares every way with those before it.
func (c *compiler) checkOverlaps(ways []way) {
	reported := map[string]bool{}
	for i := range ways {
		for j := range i {
			a, b := &ways[j], &ways[i]
			if a.insecure && !b.insecure {
				a, b = b, a // it is said of what somebody answers for
			}
			if reported[b.path] || a.shape.beginsUnlike(b.shape) {
				continue
			}
			why := a.confused(b)
			switch {
			case why == "":
				continue
			case b.insecure:
				c.fault(insecureIdentity(b.path, why))
			default:
				c.fault(Fault{Path: b.path, ID: "identity-overlap", Message: why, Hint: overlapHint(a, b)})
			}
			reported[b.path] = true
		}
	}
}

// insecureIdentity warns of what could not be proven of an identity that an
// operator answers for.
func insecureIdentity(path, why string) Fault {
	return Fault{Path: path, Warning: true, ID: "insecure", Message: why + ", and insecure_identity says that this is safe"}
}

func overlapHint(a, b *way) string {
	if a.issuer != b.issuer {
		return fmt.Sprintf(`begin each issuer's with its name and __, which escape never writes: "%s__${escape(claims.%s)}", or in a rule "${issuer}__…"`, b.issuer.name, b.persons[0][0])
	}
	return "begin each with a word of its own and __, which escape never writes"
}

// notProven records that an identity is not one-to-one, or, where the operator
// has said why that is safe, warns of it.
func (c *compiler) notProven(path string, is *IssuerSpec, why string, insecure bool) {
	if insecure {
		c.fault(insecureIdentity(path, why))
		return
	}
	var values []string
	for _, claim := range is.persons()[0] {
		values = append(values, "${escape(claims."+claim+")}")
	}
	c.fault(Fault{Path: path, ID: "identity-not-unique", Message: why,
		Hint: fmt.Sprintf(`write "%s__%s", or say under insecure_identity why it is safe`, is.Name, strings.Join(values, "__"))})
}

// confused tells how two people can get one identity, one of them by way w and
// the other by way v, or "" when they cannot.
func (w *way) confused(v *way) string {
	if w.issuer != v.issuer {
		m, err := w.meetsForeign(v)
		switch {
		case err != nil:
			return fmt.Sprintf("that this is never the identity that %s gives cannot be proven", w.of)
		case m != nil:
			return fmt.Sprintf("somebody of another issuer can get this identity from %s, such as %s", w.of, example(m))
		}
		return ""
	}
	var told bool
	var found *meeting
	var failed error
	for _, claims := range w.persons {
		m, err := w.shape.confuses(v.shape, w.reads, v.reads, claims)
		if m == nil && err == nil {
			return ""
		}
		if err != nil {
			failed = err
		} else if found == nil {
			found = m
		}
		told = told || w.shape.tells(claims) && v.shape.tells(claims)
	}
	switch {
	case failed != nil:
		return "that different people get different identities cannot be proven: it is too long"
	case w != v:
		return fmt.Sprintf("somebody else can get this identity from %s, such as %s", w.of, example(found))
	case !told:
		return fmt.Sprintf("different people can get one identity: it does not tell %s", personText(w.persons))
	}
	return fmt.Sprintf("different people can get one identity, such as %s: where one value ends and the next begins cannot be told", example(found))
}

// meetsForeign searches for a text of both ways, of two issuers.
func (w *way) meetsForeign(v *way) (*meeting, error) {
	for i := range w.shape {
		for j := range v.shape {
			if w.shape[i].pseudonym && v.shape[j].pseudonym {
				return meet(w.reads, v.reads, &[2]int{i, j})
			}
		}
	}
	return meet(w.reads, v.reads, nil)
}

// tells reports whether each of the claims is told by a piece.
func (s shape) tells(claims []string) bool {
	told := s.told()
	return !slices.ContainsFunc(claims, func(name string) bool { return !slices.Contains(told, name) })
}

// beginsUnlike reports whether no text of s begins like one of other, which
// their constant text shows.
func (s shape) beginsUnlike(other shape) bool {
	if len(s) == 0 || len(other) == 0 || !s[0].constant() || !other[0].constant() {
		return false
	}
	a, b := s[0].text, other[0].text
	n := min(len(a), len(b))
	return a[:n] != b[:n]
}

// String tells a shape from every other.
func (s shape) String() string {
	var b strings.Builder
	for _, p := range s {
		fmt.Fprintf(&b, "%q %q %q %q;", p.text, p.key, p.source, p.limits)
	}
	return b.String()
}

func example(m *meeting) string { return quote(string(m.text)) }

// personText names what identifies a person: sub, or tid and oid or iss and sub.
func personText(persons [][]string) string {
	var all []string
	for _, claims := range persons {
		all = append(all, strings.Join(claims, " and "))
	}
	return strings.Join(all, ", or ")
}

// checkJoins proves that a grant's value which puts claims or parameters side
// by side comes from them alone: where one ends and the next begins can be told.
func (c *compiler) checkJoins(set *Set) {
	for i := range c.spec.Issuers {
		is := set.issuers[c.spec.Issuers[i].Name]
		for _, r := range is.rules {
			for _, g := range r.grants {
				for _, f := range g.fields {
					if t, ok := f.value.(*template); ok && !t.constant {
						c.checkJoin(set.newReader(is, r.when), t, f.path)
					}
				}
			}
		}
	}
}

func (c *compiler) checkJoin(rd *reader, t *template, path string) {
	shapes, ok := rd.shapes(t)
	if !ok {
		c.fault(Fault{Path: path, ID: "ambiguous-join", Message: "it has too many conditions in it to be proven one-to-one"})
		return
	}
	for _, s := range shapes {
		for _, p := range s {
			if len(p.joins) > 1 {
				c.fault(Fault{Path: path, ID: "ambiguous-join",
					Message: fmt.Sprintf("different values of %s and %s can give the same text: what %s does with them cannot be told", p.joins[0], p.joins[1], p.source),
					Hint:    "give each its own ${escape(…)}, with text between them"})
				return
			}
		}
		variable := slices.DeleteFunc(slices.Clone(s), func(p piece) bool { return p.constant() })
		if len(variable) < 2 {
			continue
		}
		a := s.automaton()
		for i := range s {
			if s[i].constant() {
				continue
			}
			m, err := meet(a, a, &[2]int{i, i})
			if m == nil && err == nil {
				continue
			}
			such := ""
			if m != nil {
				such = ", such as " + example(m)
			}
			c.fault(Fault{Path: path, ID: "ambiguous-join",
				Message: fmt.Sprintf("different values of %s and %s can give the same text%s", variable[0].source, variable[1].source, such),
				Hint:    fmt.Sprintf("escape what is put together: ${escape(%s)}", s[i].source)})
			break
		}
	}
}

// checkVoice finds identities that Voice does not take and that somebody with
// a voice grant can get.
func (c *compiler) checkVoice(set *Set) {
	for i := range c.spec.Issuers {
		spec := &c.spec.Issuers[i]
		is := set.issuers[spec.Name]
		for n, r := range is.rules {
			if !slices.ContainsFunc(r.grants, func(g grant) bool { return g.kind == KindVoice }) {
				continue
			}
			if r.identity == nil && is.identity != nil {
				c.checkVoiceIdentity(set.newReader(is, r.when), is.identity, spec.Identity.Path, r)
			}
			for m, other := range is.rules {
				if other.identity == nil || m > n && r.identity != nil || exclude(r.when, other.when) {
					continue
				}
				c.checkVoiceIdentity(set.newReader(is, other.when, r.when), other.identity, other.path+".identity", r)
			}
		}
	}
}

func (c *compiler) checkVoiceIdentity(rd *reader, t *template, path string, voice *rule) {
	shapes, _ := rd.shapes(t)
	refused := notForVoice()
	for _, s := range shapes {
		if m, err := meet(s.automaton(), refused, nil); m != nil || err != nil {
			c.fault(Fault{Path: path, ID: "voice-identity",
				Message: fmt.Sprintf("rule %s grants voice, which takes identities of A-Z, a-z, 0-9 and _ alone, and this can have others in it", quote(voice.name)),
				Hint:    "put claims in by escape(): ${escape(claims.sub)}"})
			return
		}
	}
}

// notForVoice reads the texts that Voice does not take as identities.
func notForVoice() *automaton {
	return shape{
		{key: "before", language: anything},
		{key: "refused", language: exactly(1, 0, '/', ':', '@', '[', '^', '`', '`', '{', unicode.MaxRune)},
		{key: "behind", language: anything},
	}.automaton()
}

// exclude reports whether no claims meet both conditions, because they want
// different values of one claim.
func exclude(a, b *program) bool {
	for _, f := range a.facts {
		for _, g := range b.facts {
			if f.claim == g.claim && !f.member && !g.member && !slices.ContainsFunc(f.values, func(v string) bool { return slices.Contains(g.values, v) }) {
				return true
			}
		}
	}
	return false
}
