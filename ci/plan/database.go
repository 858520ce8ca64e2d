package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Database is the metadata.json that lies beside Trivy's vulnerability database.
type Database struct {
	Version   int       `json:"Version"`
	UpdatedAt time.Time `json:"UpdatedAt"` // when it was made, not when it was fetched
}

// ParseDatabase reads metadata.json. Nothing, and anything that does not say when the database was made, is an error: no
// database finds nothing in any image, which must not look like a pass.
func ParseDatabase(content []byte) (Database, error) {
	if len(content) == 0 {
		return Database{}, errors.New("there is no vulnerability database: its metadata.json is missing or empty")
	}
	var d Database
	if err := json.Unmarshal(content, &d); err != nil {
		return Database{}, fmt.Errorf("vulnerability database: metadata.json: %w", err)
	}
	if d.UpdatedAt.IsZero() {
		return Database{}, errors.New("vulnerability database: metadata.json does not say when it was updated")
	}
	return d, nil
}

// skew is how far the clocks of two honest machines may be apart.
const skew = time.Hour

// Check reports a database that is older than MaxDatabaseAge, or from the future, which means that the age is not known.
func (d Database) Check(now time.Time) error {
	age := now.Sub(d.UpdatedAt)
	switch {
	case age > MaxDatabaseAge:
		return fmt.Errorf("the vulnerability database is stale: it is of %s, %s old, and %s is the limit",
			d.UpdatedAt.UTC().Format(time.RFC3339), age.Round(time.Hour), MaxDatabaseAge)
	case age < -skew:
		return fmt.Errorf("the vulnerability database is of %s, which is in the future: a clock is wrong", d.UpdatedAt.UTC().Format(time.RFC3339))
	}
	return nil
}
