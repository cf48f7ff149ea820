package rules

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// A tracer evaluates a condition for who wants to see how it came to its
// verdict. It is a second program of the same expression, in which CEL
// evaluates every operand and keeps what each came to.
type tracer struct {
	prg       cel.Program
	conjuncts []*tracedConjunct
}

type tracedConjunct struct {
	id      int64
	text    string
	literal bool // it is true or false as written
	nodes   []readNode
	reads   []Read
}

// tracingCost is how much more a trace may cost than a decision, which stops
// where the outcome is known.
const tracingCost = 10

// newTracer plans a checked condition with the options of its program.
func newTracer(env *cel.Env, checked *cel.Ast, options []cel.ProgramOption) *tracer {
	options = append(slices.Clone(options), cel.EvalOptions(cel.OptOptimize, cel.OptTrackState, cel.OptExhaustiveEval))
	root := checked.NativeRep()
	if isCostly(root.Expr()) {
		options = append(options, cel.CostLimit(tracingCost*maxCost))
	}
	prg, err := env.Program(checked, options...)
	if err != nil {
		panic(err) // cannot be: the same expression was planned when it was compiled
	}
	t := &tracer{prg: prg}
	texts := conjunctTexts(root, checked.Source().Content())
	for i, e := range conjuncts(root.Expr()) {
		var r reads
		r.visit(e)
		c := &tracedConjunct{id: e.ID(), text: texts[i], literal: e.Kind() == celast.LiteralKind, nodes: r.nodes}
		for _, node := range r.nodes {
			if read := (Read{node.noun, node.name}); !node.computed && !slices.Contains(c.reads, read) {
				c.reads = append(c.reads, read)
			}
		}
		t.conjuncts = append(t.conjuncts, c)
	}
	return t
}

// conjuncts evaluates each conjunct of a condition, for the trace. The
// activation is for this alone: nothing of the decision may hang on what is read
// here beyond what the decision reads.
func (d *deciding) conjuncts(p *program) []Conjunct {
	if d.trace == nil {
		return nil
	}
	t := p.traced()
	_, details, _ := t.prg.Eval(newActivation(d.in, d.issuer.claimTypes, d.act.pseudonym)) // what failed is in the details
	all := make([]Conjunct, len(t.conjuncts))
	for i, c := range t.conjuncts {
		all[i] = Conjunct{Text: c.text, Verdict: Undecided, Why: "to evaluate all of the condition costs too much", Reads: c.reads}
		if val, ok := details.State().Value(c.id); ok {
			all[i].Verdict, all[i].Why = d.conjunctVerdict(c, val, details.State())
		}
	}
	return all
}

// conjunctVerdict tells what a conjunct came to. Where that is an error, it is
// told of the first read in it that failed alike.
func (d *deciding) conjunctVerdict(c *tracedConjunct, val ref.Val, state interpreter.EvalState) (v Verdict, why string) {
	if !types.IsError(val) {
		return truth(val)
	}
	for _, node := range c.nodes {
		if read, ok := state.Value(node.id); ok && types.IsError(read) && fmt.Sprint(read) == fmt.Sprint(val) {
			return d.failedRead(node)
		}
	}
	return Undecided, failure{}.text(true)
}

// failedRead tells why a claim or a parameter could not be read.
func (d *deciding) failedRead(node readNode) (v Verdict, why string) {
	f := failure{noun: node.noun, name: node.name}
	known := d.in.Known.parameter(node.name)
	if node.noun == "claim" {
		known = d.in.Known.claim(node.name)
		if d.in.Claims[node.name] != nil {
			f.want = d.issuer.claimTypes[node.name].String()
		}
	}
	switch {
	case node.computed:
		return Undecided, f.text(false)
	case !known:
		return Unknown, fmt.Sprintf("%s %q is not known", f.noun, f.name)
	}
	return Undecided, f.text(true)
}

// conjunctTexts cuts the source of a condition at its top-level && into one
// line of text for each conjunct, without comments and without the parentheses
// that hold several.
func conjunctTexts(root *celast.AST, src string) []string {
	var cuts []int
	var find func(e celast.Expr)
	find = func(e celast.Expr) {
		if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != operators.LogicalAnd {
			return
		}
		cuts = append(cuts, byteOffset(src, root.SourceInfo().GetStartLocation(e.ID())))
		for _, arg := range e.AsCall().Args() {
			find(arg)
		}
	}
	find(root.Expr())
	slices.Sort(cuts)
	var texts []string
	start := 0
	for _, cut := range cuts {
		texts = append(texts, conjunctText(src[start:cut]))
		start = cut + len("&&")
	}
	return append(texts, conjunctText(src[start:]))
}

// conjunctText writes what stands between two && on one line.
func conjunctText(src string) string {
	var b strings.Builder
	opened, closed := 0, 0 // parentheses whose partner is in another conjunct
	space := false
	for i := 0; i < len(src); {
		n := tokenLength(src, i)
		token := src[i : i+n]
		switch {
		case strings.HasPrefix(src[i:], "//"):
			n = len(src[i:])
			if end := strings.IndexByte(src[i:], '\n'); end >= 0 {
				n = end
			}
			space = true
		case strings.TrimSpace(token) == "":
			space = true
		default:
			switch token {
			case "(":
				opened++
			case ")":
				if opened > 0 {
					opened--
				} else {
					closed++
				}
			}
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteString(token)
		}
		i += n
	}
	text := b.String()
	for range opened {
		text = strings.TrimSpace(strings.TrimPrefix(text, "("))
	}
	for range closed {
		text = strings.TrimSpace(strings.TrimSuffix(text, ")"))
	}
	return text
}
