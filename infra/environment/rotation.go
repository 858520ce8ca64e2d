package environment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rotation says how old secrets may become, 0 for as old as they like.
type Rotation struct{ Database time.Duration }

const day = 24 * time.Hour

// Limits of an age.
const (
	minAge = time.Hour
	maxAge = 3650 * day
)

// rotation reads the ages.
func (r *reader) rotation(key string) Rotation {
	ages := struct {
		Database string `json:"database"`
	}{"90d"}
	decoder := json.NewDecoder(bytes.NewReader([]byte(r.value(key))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ages); err != nil {
		r.problem("%s:%s: want a mapping of database to an age: %w", Namespace, key, err)
		return Rotation{}
	}
	age, err := ParseAge(ages.Database)
	if err != nil {
		r.problem("%s:%s: database: %w", Namespace, key, err)
	}
	return Rotation{Database: age}
}

// ParseAge reads how old something may be: days ("30d"), a Go duration ("12h"), or "off", which is 0.
func ParseAge(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	age, err := time.ParseDuration(text)
	if number, days := strings.CutSuffix(text, "d"); days {
		var n int
		n, err = strconv.Atoi(number)
		age = time.Duration(min(max(n, -1), int(maxAge/day)+1)) * day
	}
	if err != nil || age < minAge || age > maxAge {
		return 0, fmt.Errorf("%q: want an age from 1h to 3650d such as 30d, or off", text)
	}
	return age, nil
}
