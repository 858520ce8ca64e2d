package book

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// langtag is the grammar of RFC 5646, section 2.1, for lower-case input: language with extlangs, script, region, variants,
// extensions, private use; or private use alone; or one of the tags from before the grammar that does not fit it
// ("irregular"; the "regular" ones do fit). The database repeats it as a constraint.
var langtag = regexp.MustCompile(`^(([a-z]{2,3}(-[a-z]{3}){0,3}|[a-z]{4,8})` +
	`(-[a-z]{4})?` +
	`(-([a-z]{2}|[0-9]{3}))?` +
	`(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*` +
	`(-[0-9a-wyz](-[a-z0-9]{2,8})+)*` +
	`(-x(-[a-z0-9]{1,8})+)?` +
	`|x(-[a-z0-9]{1,8})+` +
	`|en-gb-oed|i-(ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)|sgn-(be-fr|be-nl|ch-de))$`)

// ParseLanguage checks that s is a well-formed language tag of RFC 5646 (section 2.2.9) and returns it in the case that
// section 2.1.1 recommends: "EN-latn-us" becomes "en-Latn-US". A three-letter code of a language that has a two-letter
// one, as library catalogues use it, becomes the two-letter one, which alone is valid by section 2.2.1: "eng" becomes
// "en". Whether the subtags are registered is not checked: that would tie stored books to one day's registry.
func ParseLanguage(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxLanguageLen {
		return "", fmt.Errorf("must be a language tag of at most %d characters, has %d", MaxLanguageLen, len(s))
	}
	lower := asciiLower(s)
	if !langtag.MatchString(lower) {
		return "", errors.New(`must be a language tag of RFC 5646, such as "en" or "pt-BR"`)
	}
	subtags := strings.Split(lower, "-")
	if short, ok := shortest[subtags[0]]; ok {
		subtags[0] = short
	}
	for i := 1; i < len(subtags) && len(subtags[i-1]) > 1; i++ { // after a singleton everything stays in lower case
		switch len(subtags[i]) {
		case 2:
			subtags[i] = strings.ToUpper(subtags[i])
		case 4:
			subtags[i] = strings.ToUpper(subtags[i][:1]) + subtags[i][1:]
		}
	}
	return strings.Join(subtags, "-"), nil
}

// asciiLower leaves other letters alone: strings.ToLower would turn the Kelvin sign into a "k" that the input never had.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
