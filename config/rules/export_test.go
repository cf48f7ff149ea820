package rules

import "fmt"

// Prove compiles spec with the proofs.
func Prove(spec *Spec) (*Set, []Fault) { return compileSpec(spec, true) }

// CompileExpressions compiles conditions for claims that are standard and
// groups, and nothing around them.
func CompileExpressions(conditions []string) error {
	claims := standardClaims()
	claims["groups"] = claimType{elem: "string", list: true}
	env, err := newEnv(claims, nil)
	if err != nil {
		return err
	}
	for _, condition := range conditions {
		ast, issues := env.Compile(condition)
		if issues.Err() != nil {
			return issues.Err()
		}
		if _, err := newProgram(env, ast); err != nil {
			return fmt.Errorf("%s: %w", condition, err)
		}
	}
	return nil
}

// CompileUnproven compiles spec without proofs and lints, for tests of what
// expressions do and not of what is wise.
func CompileUnproven(spec *Spec) (*Set, []Fault) { return compileSpec(spec, false) }
