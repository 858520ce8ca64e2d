package config

// Access says who may use the API.
type Access struct {
	Auth string // "required", "public-read" or "off"
}

// access reads who may use the API. The default refuses: a service that somebody forgot to configure must not be open.
func (b *binder) access(c *Access) {
	b.oneOf(&c.Auth, "AUTH", "required", "required", "public-read", "off")
}
