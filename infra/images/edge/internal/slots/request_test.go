package slots

import (
	"errors"
	"strings"
	"testing"
)

// two is a good pair of slots, for requests that are wrong elsewhere.
const two = `"slots":{"blue":{"weight":95,"replicas":[{"address":"blue-1:8080","admin":"blue-1:9090"}]},
	"green":{"weight":5,"replicas":[{"address":"green-1:8080","admin":"green-1:9090"}]}}`

func TestGoodRequestsAreAccepted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"two slots":            `{` + two + `}`,
		"with a lease":         `{` + two + `,"lease_seconds":30,"fallback":{"blue":100,"green":0}}`,
		"fallback of one slot": `{` + two + `,"lease_seconds":30,"fallback":{"blue":100}}`,
		"with a generation":    `{` + two + `,"if_generation":12}`,
		"no slots at all":      `{"slots":{}}`,
		"a slot at rest":       `{"slots":{"a":{"weight":100,"replicas":[{"address":"[::1]:1","admin":"127.0.0.1:2"}]},"b":{"weight":0,"replicas":[]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseRequest(strings.NewReader(text)); err != nil {
				t.Errorf("%s is refused: %v", text, err)
			}
		})
	}
}

func TestARefusalNamesTheField(t *testing.T) {
	t.Parallel()
	slot := func(weight, replicas string) string {
		return `{"slots":{"blue":{"weight":` + weight + `,"replicas":[` + replicas + `]}}}`
	}
	const replica = `{"address":"a:1","admin":"a:2"}`
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":                    {`weights please`, "not the JSON that is expected"},
		"nothing":                    {``, "not the JSON that is expected"},
		"two values":                 {`{"slots":{}}{"slots":{}}`, "something follows"},
		"an unknown field":           {`{` + two + `,"weight":5}`, `unknown field "weight"`},
		"an unknown field of a slot": {`{"slots":{"blue":{"weight":100,"replica":[]}}}`, `unknown field "replica"`},
		"no slots":                   {`{}`, "slots: is required"},
		"a list of slots":            {`{"slots":[]}`, "slots: must be an object, is a JSON array"},
		"a bad name":                 {`{"slots":{"Blue":{"weight":100,"replicas":[` + replica + `]}}}`, `the name "Blue"`},
		"no weight":                  {`{"slots":{"blue":{"replicas":[]}}}`, "slots.blue.weight: is required"},
		"a weight of null":           {slot("null", replica), "slots.blue.weight: is required"},
		"half a weight":              {slot("99.5", replica), "weight: must be a whole number"},
		"a weight in words":          {slot(`"all"`, replica), "weight: must be a whole number"},
		"a negative weight":          {slot("-1", replica), "slots.blue.weight: must be from 0 to 100"},
		"too much weight":            {slot("101", replica), "slots.blue.weight: must be from 0 to 100"},
		"less than all":              {slot("99", replica), "slots: the weights must sum to 100, they sum to 99"},
		"weight without replicas":    {slot("100", ""), "slots.blue.replicas: a slot with weight needs at least one"},
		"an address twice":           {slot("100", replica+","+replica), "slots.blue.replicas[1].address: a:1 is slots.blue.replicas[0].address already"},
		"an address without a port":  {slot("100", `{"address":"a","admin":"a:2"}`), "slots.blue.replicas[0].address: must be host:port"},
		"an address of port 0":       {slot("100", `{"address":"a:0","admin":"a:2"}`), "slots.blue.replicas[0].address: must be host:port"},
		"an address with a path":     {slot("100", `{"address":"a/b:1","admin":"a:2"}`), "slots.blue.replicas[0].address: must be host:port"},
		"a placeholder of Caddy's":   {slot("100", `{"address":"{env.HOME}:1","admin":"a:2"}`), "slots.blue.replicas[0].address: must be host:port"},
		"no admin address":           {slot("100", `{"address":"a:1"}`), "slots.blue.replicas[0].admin: must be host:port"},
		"a lease without fallback":   {`{` + two + `,"lease_seconds":30}`, "fallback: is required with lease_seconds"},
		"a fallback without lease":   {`{` + two + `,"fallback":{"blue":100}}`, "lease_seconds: is required with fallback"},
		"a lease of no time":         {`{` + two + `,"lease_seconds":0,"fallback":{"blue":100}}`, "lease_seconds: must be from 1"},
		"a lease of a century":       {`{` + two + `,"lease_seconds":3153600000,"fallback":{"blue":100}}`, "lease_seconds: must be from 1"},
		"a fallback to nobody":       {`{` + two + `,"lease_seconds":1,"fallback":{"red":100}}`, "fallback.red: there is no such slot"},
		"a fallback of too little":   {`{` + two + `,"lease_seconds":1,"fallback":{"blue":10}}`, "fallback: the weights must sum to 100, they sum to 10"},
		"a generation in words":      {`{` + two + `,"if_generation":"now"}`, "if_generation: must be a whole number"},
		"far too much":               {`{"slots":{}` + strings.Repeat(" ", maxRequest) + `}`, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseRequest(strings.NewReader(c.text))
			if _, ok := errors.AsType[*InvalidError](err); !ok {
				t.Fatalf("the error is %v, not an InvalidError", err)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %q; want one line with %q", err, c.want)
			}
		})
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ParseRequest(strings.NewReader(`{"slots":{"a":{"weight":-1,"replicas":[]},"b":{"weight":200,"replicas":[{"address":"x","admin":"y:1"}]}},"lease_seconds":0,"fallback":{}}`))
	for _, want := range []string{"slots.a.weight", "slots.b.weight", "slots.b.replicas[0].address", "lease_seconds"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v does not name %s", err, want)
		}
	}
}
