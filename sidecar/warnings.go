package sidecar

// warnings returns what is strange about the configuration in effect.
func (s *Sidecar) warnings() []string {
	c := s.Config()
	return c.Warnings()
}
