package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// lintExpr finds, in an expression, claims that say less than they seem to, and
// tests that more pass than it seems.
func (l *linter) lintExpr(at site, s scope) {
	walk(at.program.ast.Expr(), s, func(e celast.Expr, s scope) bool {
		if asksPresence(e) {
			return false
		}
		if m, ok := memberRead(e); ok && m.isClaim() {
			l.lintEmail(at, e, m.name, s)
			l.lintEditable(at, e, m.name, s)
			l.lintSpelling(at, m.name)
		}
		if e.Kind() == celast.CallKind && e.AsCall().IsMemberFunction() && len(e.AsCall().Args()) == 1 {
			switch e.AsCall().FunctionName() {
			case "matches":
				l.lintRegex(at, e, s)
			case "endsWith", "startsWith", "contains":
				l.lintPart(at, e, s)
			}
		}
		return true
	})
}

// lintEmail finds an address that decides though nobody verified it. What a
// deny rule reads to keep somebody out is passed over: it lets nobody in.
func (l *linter) lintEmail(at site, e celast.Expr, name string, s scope) {
	if name != "email" || !s.admits && s.sign <= 0 || l.isEditable(name) || s.proves(saysTrue("email_verified")) {
		return
	}
	f := Fault{ID: "email-unverified", Message: "email is read, and nothing says that it is verified: people can write any address there",
		Hint: "add && claims.email_verified"}
	switch {
	case s.use == identityValue:
		f.Hint = `write claims.sub in its place, or demand it: require: ["claims.email_verified"]`
	case s.use == otherValue:
		f.Hint = "add && claims.email_verified to when"
	case !s.admits:
		f.Hint = "let in whom the address and claims.email_verified let in: !(… && claims.email_verified)"
	case len(conjuncts(at.program.ast.Expr())) == 1:
		f.Hint = fmt.Sprintf("write %s && claims.email_verified", oneLine(parenthesized(at)))
	}
	l.warn(at, e, f)
}

// parenthesized returns a condition as one operand of &&.
func parenthesized(at site) string {
	root := at.program.ast.Expr()
	if root.Kind() == celast.CallKind {
		if f := root.AsCall().FunctionName(); f == operators.LogicalOr || f == operators.Conditional {
			return "(" + strings.TrimSpace(at.src) + ")"
		}
	}
	return strings.TrimSpace(at.src)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// saysTrue is the fact that a claim is there and true.
func saysTrue(name string) func(e celast.Expr, is bool) bool {
	reads := func(e celast.Expr) bool {
		if m, ok := memberRead(e); ok {
			return m.isClaim() && m.name == name && m.how == readStrict
		}
		if e.Kind() != celast.CallKind {
			return false
		}
		call := e.AsCall()
		switch call.FunctionName() {
		case "orValue": // of false, or it could be true of who has no such claim
			m, ok := memberRead(call.Target())
			or, constant := constantBool(call.Args()[0])
			return ok && m.isClaim() && m.name == name && constant && !or
		case "string":
			m, ok := memberRead(call.Args()[0])
			return ok && m.isClaim() && m.name == name && m.how == readStrict
		}
		return false
	}
	return func(e celast.Expr, is bool) bool {
		if reads(e) {
			return is
		}
		if e.Kind() != celast.CallKind {
			return false
		}
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.NotEquals:
			is = !is
		case operators.Equals:
		default:
			return false
		}
		for i, arg := range call.Args() {
			if other := call.Args()[1-i]; reads(arg) && other.Kind() == celast.LiteralKind {
				switch other.AsLiteral() {
				case types.True, types.String("true"), types.String("1"), types.Int(1):
					return is
				case types.False:
					return !is
				}
			}
		}
		return false
	}
}

// editableClaims are those that people write themselves at most providers
// (OpenID Connect Core 1.0 §5.7; user_metadata at Auth0 and Supabase,
// unsafe_metadata at Clerk).
var editableClaims = []string{
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
	"user_metadata", "unsafe_metadata",
}

func (l *linter) isEditable(name string) bool {
	if i := strings.LastIndexByte(name, '/'); i >= 0 { // https://example.com/user_metadata
		name = name[i+1:]
		return strings.HasSuffix(name, "_metadata") && slices.Contains(editableClaims, name)
	}
	return slices.Contains(editableClaims, name) || slices.Contains(l.spec.Editable, name)
}

// lintEditable finds a claim that lets people in, or chooses what they get, and
// that they can write themselves. That identities tell people apart is proven
// elsewhere.
func (l *linter) lintEditable(at site, e celast.Expr, name string, s scope) {
	if !l.isEditable(name) || s.sign < 0 || s.sign == 0 && !s.admits || s.use == identityValue {
		return
	}
	if slices.Contains(l.spec.Editable, name) && s.proves(saysTrue("xms_edov")) {
		return // Entra's word that the address's domain is the tenant's
	}
	of := ""
	if slices.Contains(l.spec.Editable, name) {
		of = fmt.Sprintf(" at issuer %q", l.spec.Name)
	}
	l.warn(at, e, Fault{ID: "editable-claim", Message: fmt.Sprintf("%s%s is what people say of themselves, and it decides what they get", name, of),
		Hint: "decide by what the provider says of them: claims.sub, a group, a role"})
}

var domainShape = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// lintPart finds tests of a part of an address, a domain or a URL that a
// stranger's pass, too.
func (l *linter) lintPart(at site, e celast.Expr, s scope) {
	call := e.AsCall()
	m, whole, ok := origin(call.Target(), s)
	arg := call.Args()[0]
	part, constant := constantString(arg)
	if !ok || !m.isClaim() || !constant || part == "" || s.sign < 0 {
		return
	}
	function := call.FunctionName()
	address := m.name == "email" || m.name == "upn" || m.name == "preferred_username"
	f := Fault{ID: "loose-match"}
	switch {
	case function == "endsWith" && address && whole && !strings.Contains(part, "@") && part[0] != '.':
		f.Message = fmt.Sprintf("%s passes this test, too", quote("eve@evil-"+part))
		f.Hint = "write " + oneLine(at.with(e, arg, "'@"+part+"'"))
	case function == "endsWith" && domainShape.MatchString(part) && !(address && whole):
		f.Message = fmt.Sprintf("%s passes this test, too", quote("evil-"+part))
		f.Hint = fmt.Sprintf("write %s == '%s', or %s", oneLine(at.text(call.Target())), part, oneLine(at.with(e, arg, "'."+part+"'")))
	case function == "contains" && address && hasLetter(part):
		f.Message = fmt.Sprintf("%s passes this test, too", quote("eve+"+strings.TrimPrefix(part, "@")+"@evil.example"))
		if strings.HasPrefix(part, "@") {
			f.Message = fmt.Sprintf("%s passes this test, too", quote("eve"+part+".evil.example"))
		}
		f.Hint = fmt.Sprintf("write %s.endsWith('@%s')", oneLine(at.text(call.Target())), strings.TrimPrefix(domainOf(part), "@"))
	case function == "startsWith" && address && !strings.Contains(part, "@"):
		f.Message = fmt.Sprintf("%s passes this test, too", quote(part+"@evil.example"))
		f.Hint = fmt.Sprintf("write %s in ['%s@example.com']", oneLine(at.text(call.Target())), part)
	case function != "endsWith" && (m.name == "iss" || m.name == "aud") && hasLetter(part) && !(function == "startsWith" && isOrigin(part)):
		f.Message = fmt.Sprintf("a part of %s says little: strangers choose the rest", m.name)
		f.Hint = fmt.Sprintf("write %s == '…', or name the issuer: issuer: %s", oneLine(at.text(call.Target())), l.spec.Name)
	default:
		return
	}
	l.warn(at, e, f)
}

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
}

// isOrigin reports whether a text ends a URL's host, such as https://a.example/.
func isOrigin(s string) bool { return strings.Count(s, "/") >= 3 }

// domainOf completes what is to be a domain.
func domainOf(part string) string {
	if strings.Contains(part, ".") {
		return part
	}
	return part + ".example"
}

// wellKnown are claims without a standard that providers have, so that none of
// them is taken for another one misspelt.
var wellKnown = []string{
	"roles", "groups", "scope", "scopes", "tid", "oid", "upn", "hd", "org_id", "tenant", "email_domain", "username", "user_name",
	"company", "country", "language", "app_metadata", "user_metadata", "client_id", "phone", "title", "permissions",
}

// lintSpelling finds a claim that nobody declared and that is written almost
// like one that is known.
func (l *linter) lintSpelling(at site, name string) {
	if _, known := l.issuer.claimTypes[name]; known || len(name) < 5 || slices.Contains(wellKnown, name) {
		return
	}
	near := Nearest(name, slices.Sorted(maps.Keys(l.issuer.claimTypes)))
	if near == "" || len(near) < 5 || len(name) < 8 && !strings.EqualFold(near, name) && editDistance(name, near) > 1 {
		return
	}
	offset, length := nameAt(at.src, 0, name)
	l.fault(Fault{Path: at.path, Offset: at.offset + offset, Length: length, Warning: true, ID: "misspelt-claim",
		Message: fmt.Sprintf("no claim is known as %q here", name), Hint: fmt.Sprintf("did you mean %s? If not, declare it: claims: {%s: string}", near, name)})
}

// lintClaimTypes finds declared types of claims that nothing reads.
func (l *linter) lintClaimTypes() {
	if l.issuer.readsAll {
		return
	}
	for _, claim := range l.spec.Claims {
		if claim.Path == "" || l.issuer.reads[claim.Name] || slices.Contains(l.compiler.spec.Audited, claim.Name) {
			continue
		}
		hint := "leave it out"
		if near := Nearest(claim.Name, slices.Sorted(maps.Keys(l.issuer.reads))); near != "" {
			hint = fmt.Sprintf("the rules read %s: did you mean that?", near)
		}
		l.fault(Fault{Path: claim.Path, Warning: true, ID: "unused-claim", Message: fmt.Sprintf("nothing reads the claim %s of this issuer", claim.Name), Hint: hint})
	}
}
