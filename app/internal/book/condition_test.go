package book

import "testing"

func TestAConditionAllowsTheVersionsItIsMeantFor(t *testing.T) {
	t.Parallel()
	of := func(list ...int64) *Versions { return &Versions{List: list} }
	all := &Versions{All: true}
	for name, test := range map[string]struct {
		condition Condition
		want      bool // for version 3
	}{
		"nothing is asked for":               {Condition{}, true},
		"the version":                        {Condition{Match: of(3)}, true},
		"one of several":                     {Condition{Match: of(1, 3)}, true},
		"another version":                    {Condition{Match: of(2)}, false},
		"a tag that no version has":          {Condition{Match: of()}, false},
		"any version":                        {Condition{Match: all}, true},
		"not the version":                    {Condition{NoneMatch: of(3)}, false},
		"not another version":                {Condition{NoneMatch: of(2)}, true},
		"not any tag that no version has":    {Condition{NoneMatch: of()}, true},
		"no version at all":                  {Condition{NoneMatch: all}, false},
		"both, and both hold":                {Condition{Match: of(3), NoneMatch: of(2)}, true},
		"both, and the second does not hold": {Condition{Match: of(3), NoneMatch: of(3)}, false},
	} {
		if got := test.condition.Allows(3); got != test.want {
			t.Errorf("%s: version 3 is allowed: %t, want %t", name, got, test.want)
		}
	}
}
