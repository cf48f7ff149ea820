package rules

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// How long a token should live for what it is for.
const (
	// Conversations and Sync ask for a new token three minutes before the end
	// of the old one, and an app needs time to get it.
	leastTTLChat = 240 * time.Second
	// Video takes no new token: who has to connect again once the old one is
	// over is out. A room lasts four hours, unless told otherwise.
	leastTTLVideo = 4 * time.Hour
)

// lintRules lints what there is beside expressions.
func (c *compiler) lintRules(set *Set) {
	for i := range c.spec.Rules {
		if r := &c.spec.Rules[i]; r.Deny != "" && !r.Expires.IsZero() {
			c.fault(Fault{Path: r.Path + ".expires", Warning: true, ID: "expiring-deny",
				Message: fmt.Sprintf("from %s on this refuses nobody", r.Expires.Format(time.DateOnly)),
				Hint:    "leave expires out, and take the rule out once it is over"})
		}
	}
	if len(c.spec.Issuers) < 2 {
		return
	}
	for _, r := range set.issuers[c.spec.Issuers[0].Name].rules {
		if spec := &c.spec.Rules[r.index]; r.admits() && spec.Issuers == nil && !spec.AnyIssuer && !readsVariable(r.when.ast.Expr(), "issuer") {
			c.fault(Fault{Path: r.path, Warning: true, ID: "no-issuer",
				Message: fmt.Sprintf("rule %s is for the people of all %d issuers", quote(r.name), len(c.spec.Issuers)),
				Hint:    fmt.Sprintf("say whose: issuer: %s, or issuer: any", c.spec.Issuers[0].Name)})
		}
	}
}

func readsVariable(e celast.Expr, name string) bool {
	found := false
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.Kind() == celast.IdentKind && e.AsIdent() == name
	}))
	return found
}

// lintTTL finds grants whose tokens end too early for what they are for. The ttl
// of another rule counts where that matches whenever r does, and contributes.
func (x *reach) lintTTL(r *rule) {
	ttl, path := r.ttl, r.path+".ttl"
	if r.ttl == 0 {
		path = r.path + ".grants"
	}
	for _, other := range x.covering(r) {
		if other.deny == "" && other.ttl != 0 && other != r && (ttl == 0 || other.ttl < ttl) && other.contributesBeside(r) {
			ttl, path = other.ttl, other.path+".ttl"
		}
	}
	if ttl == 0 {
		ttl = x.set.ttl
	}
	ttl = min(ttl, x.set.maxTTL)
	for _, g := range r.grants {
		f := Fault{Path: path, Warning: true, ID: "short-ttl"}
		switch {
		case g.kind == KindVideo && ttl < leastTTLVideo:
			f.Message = fmt.Sprintf("a video token of rule %s ends after %s: who loses the connection after that is out of the room", quote(r.name), short(ttl))
			f.Hint = "write ttl: 4h, which is how long a room lasts"
		case (g.kind == KindChat || g.kind == KindSync) && ttl < leastTTLChat:
			f.Message = fmt.Sprintf("a %s token of rule %s ends after %s, and its app is told to renew it 3m before the end", g.kind, quote(r.name), short(ttl))
			f.Hint = "write ttl: 5m, or more"
		default:
			continue
		}
		if path == r.path+".grants" {
			f.Path = g.path
		}
		x.fault(f)
	}
}

// contributesBeside reports whether r, matching together with another, wins
// something as far as that one is concerned, or sets ttl alone.
func (r *rule) contributesBeside(other *rule) bool {
	mine := slices.DeleteFunc(r.sets(), func(output string) bool { return output == "ttl" })
	theirs := other.sets()
	return len(mine) == 0 || r.index < other.index || slices.ContainsFunc(mine, func(output string) bool { return !slices.Contains(theirs, output) })
}

// short writes a duration as an operator would: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// lintNotEqual finds a rule that lets in everybody but some: that a claim is
// not equal to a text is all it asks for.
func (l *linter) lintNotEqual(r *rule, at site) {
	if !r.admits() {
		return
	}
	var first celast.Expr
	var read celast.Expr
	held := conjuncts(r.when.ast.Expr())
	for i, e := range append(held, l.requirements()...) {
		claim := notEqual(e)
		switch {
		case claim != nil && i < len(held):
			if first == nil {
				first, read = e, claim
			}
		case claim == nil && !saysTrue("email_verified")(e, true) && picks(e):
			return
		}
	}
	if first != nil {
		text := oneLine(at.text(read))
		l.warn(at, first, Fault{ID: "not-equal-alone", Message: fmt.Sprintf("whatever else %s is lets people in, and so do values that nobody has thought of", text),
			Hint: fmt.Sprintf("list who may: %s in ['…']", text)})
	}
}

// requirements are the conjuncts that hold for everybody.
func (l *linter) requirements() []celast.Expr {
	var all []celast.Expr
	for _, cond := range l.issuer.require {
		all = append(all, conjuncts(cond.program.ast.Expr())...)
	}
	return all
}

// notEqual returns the claim that e says is none of some texts, or nil. Whoever
// writes what the claim counts as where it is absent has thought of the others.
func notEqual(e celast.Expr) celast.Expr {
	if e.Kind() != celast.CallKind {
		return nil
	}
	call := e.AsCall()
	equal := operators.NotEquals
	if call.FunctionName() == operators.LogicalNot && call.Args()[0].Kind() == celast.CallKind {
		call, equal = call.Args()[0].AsCall(), operators.Equals
	}
	args := call.Args()
	switch f := call.FunctionName(); {
	case f == equal:
		for i := range args {
			m, _, ok := origin(args[i], scope{})
			if text, constant := constantString(args[1-i]); ok && m.isClaim() && m.how == readStrict && constant && text != "" {
				return args[i]
			}
		}
	case f == operators.In && equal == operators.Equals:
		m, _, ok := origin(args[0], scope{})
		if _, constant := constantStrings(args[1]); ok && m.isClaim() && m.how == readStrict && constant {
			return args[0]
		}
	}
	return nil
}

// picks reports whether a conjunct tells some people from others: by a claim,
// and by more than that it is there.
func picks(e celast.Expr) bool {
	found := false
	walk(e, scope{}, func(e celast.Expr, _ scope) bool {
		if asksPresence(e) {
			return false
		}
		m, ok := memberRead(e)
		found = found || ok && m.isClaim()
		return true
	})
	return found
}

// lintParameterAlone finds a value that is what the client asks for, in a rule
// that asks nothing of the person.
func (l *linter) lintParameterAlone(r *rule, text Text, t *template) bool {
	if t.constant || r.when.reads.all {
		return false
	}
	for _, p := range append(l.requirePrograms(), r.when) {
		if slices.ContainsFunc(p.reads.claims, func(name string) bool { return name != "email_verified" }) {
			return false
		}
	}
	shapes, ok := l.set.newReader(l.issuer, r.when).shapes(t)
	if !ok {
		return false
	}
	for _, s := range shapes {
		name := s.askedFor()
		i := slices.IndexFunc(l.set.parameters, func(p parameter) bool { return p.Name == name })
		if i < 0 || l.set.parameters[i].Enum != nil {
			continue // of a list that the operator wrote
		}
		f := Fault{Path: text.Path, Warning: true, ID: "parameter-alone",
			Message: fmt.Sprintf("everybody who is signed in gets this by asking for it: request.%s is all that decides", name),
			Hint:    fmt.Sprintf(`put in whose it is: "${escape(claims.sub)}__${request.%s}", or ask in when for a claim that says who may`, name)}
		if at := strings.Index(text.Source, "request."+name); at >= 0 {
			f.Offset, f.Length = at, len("request."+name)
		}
		l.fault(f)
		return true
	}
	return false
}

// lintAnyRoom finds a room that is a parameter of any text, which opens what
// any_room does, whoever the rule is for.
func (l *linter) lintAnyRoom(r *rule, text Text, t *template) {
	shapes, _ := l.set.newReader(l.issuer, r.when).shapes(t)
	for _, s := range shapes {
		i := slices.IndexFunc(l.set.parameters, func(p parameter) bool { return len(s) == 1 && s[0].key == "request."+p.Name })
		if i < 0 || !l.set.parameters[i].isAnything() {
			continue
		}
		name := l.set.parameters[i].Name
		l.fault(Fault{Path: text.Path, Warning: true, ID: "any-room", Message: fmt.Sprintf("request.%s may be any text, so the token opens every room of the account", name),
			Hint: fmt.Sprintf(`narrow its pattern, or put in whose room it is: "${escape(claims.sub)}__${escape(request.%s)}"`, name)})
		return
	}
}

// isAnything reports whether the pattern takes any text, or any that is not
// empty or too long.
func (p *parameter) isAnything() bool {
	re, err := syntax.Parse(p.Pattern, syntax.Perl)
	if err != nil || p.Enum != nil {
		return false
	}
	if re.Op == syntax.OpConcat {
		re.Sub = slices.DeleteFunc(re.Sub, func(sub *syntax.Regexp) bool { return sub.Op == syntax.OpBeginText || sub.Op == syntax.OpEndText })
		if len(re.Sub) != 1 {
			return false
		}
		re = re.Sub[0]
	}
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return re.Sub[0].Op == syntax.OpAnyChar || re.Sub[0].Op == syntax.OpAnyCharNotNL
	}
	return false
}

func (l *linter) requirePrograms() []*program {
	var all []*program
	for _, cond := range l.issuer.require {
		all = append(all, cond.program)
	}
	return all
}

// askedFor returns the parameter that alone makes the text of a shape, or "".
func (s shape) askedFor() string {
	asked := ""
	for _, p := range s {
		name, ok := strings.CutPrefix(p.key, "request.")
		switch {
		case ok:
			asked = name
		case p.constant(), p.key == "client":
		default:
			name, ok := strings.CutPrefix(p.key, "escape(request.")
			if !ok {
				return "" // a claim's, or nobody knows whose
			}
			asked = strings.TrimRight(name, ")")
		}
	}
	return asked
}

// everybodyHas are claims whose values do not tell whose people somebody is.
var everybodyHas = []string{
	"email_verified", "phone_number_verified", "iss", "aud", "azp", "exp", "iat", "nbf", "auth_time", "nonce", "acr", "amr", "sid",
	"jti", "at_hash", "c_hash", "updated_at", "gender", "birthdate", "zoneinfo", "locale",
}

// lintCrowds finds rules that grant to people, or machines, whom nobody meant
// to let in.
func (l *linter) lintCrowds() {
	for _, crowd := range l.spec.Crowds {
		for _, r := range l.issuer.rules {
			held := append(l.required(-1), assumption{r.when.ast.Expr(), true})
			if len(r.grants) == 0 || (scope{held: held}).proves(l.tellsApart(crowd)) {
				continue
			}
			f := Fault{Path: crowd.Path, Warning: true, ID: crowd.ID, Message: fmt.Sprintf("rule %s grants to %s", quote(r.name), crowd.Who), Hint: crowd.Hint}
			if crowd.Path == "" {
				f.Path = l.rule(r).When.Path
				l.fault(f)
				continue
			}
			l.fault(f)
			break
		}
	}
}

// tellsApart is the fact that an operand reads what tells others from a crowd.
func (l *linter) tellsApart(crowd Crowd) func(e celast.Expr, is bool) bool {
	counts := func(name string) bool {
		if crowd.Claims != nil {
			return slices.Contains(crowd.Claims, name)
		}
		return !slices.Contains(everybodyHas, name) && !l.isEditable(name)
	}
	return func(e celast.Expr, _ bool) bool {
		if e.Kind() == celast.CallKind {
			switch e.AsCall().FunctionName() {
			case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
				return false // by its operands
			}
		}
		found := false
		walk(e, scope{}, func(e celast.Expr, _ scope) bool {
			if m, ok := memberRead(e); ok && m.isClaim() {
				found = found || counts(m.name) && (m.how != readPresence || m.name == "sub")
			} else if e.Kind() == celast.IdentKind && e.AsIdent() == "client" {
				found = found || slices.Contains(crowd.Claims, "client")
			}
			// That a claim is not empty tells nothing, but of sub: whoever writes
			// that means everybody.
			m, ok := emptyTested(e)
			return !ok || m.name == "sub"
		})
		return found
	}
}

// emptyTested returns the member that e asks the presence of.
func emptyTested(e celast.Expr) (found member, ok bool) {
	if !asksPresence(e) {
		return member{}, false
	}
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(e celast.Expr) {
		if m, read := memberRead(e); read {
			found, ok = m, true
		}
	}))
	return found, ok
}
