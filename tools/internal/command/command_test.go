package command

import (
	"slices"
	"strings"
	"testing"
)

func itself(s string) string { return s }

func TestChooseKeepsTheAskedOrder(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c"}
	for _, c := range []struct{ wanted, want []string }{
		{nil, all}, {[]string{"c", "a"}, []string{"c", "a"}}, {[]string{"b"}, []string{"b"}},
	} {
		got, err := Choose("letter", all, itself, c.wanted)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Choose(%q) = %q, %v; want %q", c.wanted, got, err, c.want)
		}
	}
}

func TestAnUnknownNameIsAnErrorThatListsTheKnownOnes(t *testing.T) {
	t.Parallel()
	_, err := Choose("letter", []string{"a", "b"}, itself, []string{"a", "z"})
	if err == nil || !strings.Contains(err.Error(), `there is no letter "z"; there are: a, b`) {
		t.Errorf("Choose: %v", err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc"}, {"a\n", 5, "a"}, {"", 3, ""}, {"a\nb\n\n\n", 1, "b"},
	} {
		if got := Tail(c.text, c.n); got != c.want {
			t.Errorf("Tail(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}
