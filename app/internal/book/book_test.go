package book

import "testing"

func TestOrNilIsNilForNothingOnly(t *testing.T) {
	t.Parallel()
	if OrNil("") != nil {
		t.Error(`"" is not nil`)
	}
	if got := OrNil("en"); got == nil || *got != "en" {
		t.Errorf("%v, want en", got)
	}
}
