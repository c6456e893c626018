package decode

import "bytes"

// peek passes white space and returns the next byte, 0 at the end.
func (s *jsonScanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *jsonScanner) open(c byte) error {
	if s.peek() != c {
		return s.fail("want %q", c)
	}
	s.i++
	return nil
}

func (s *jsonScanner) literal(word string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		return s.fail("want a value")
	}
	s.i += len(word)
	return nil
}

// name reads what stands before the value of a member: a comma unless it is the first, its name and the colon. done says
// that the object ended instead.
func (s *jsonScanner) name(first bool) (name []byte, done bool, err error) {
	c := s.peek()
	if c == '}' {
		s.i++
		return nil, true, nil
	}
	if !first {
		if c != ',' {
			return nil, false, s.fail("want a comma or the end of an object")
		}
		s.i++
		c = s.peek()
	}
	if c != '"' {
		return nil, false, s.fail("want a name")
	}
	s.i++
	if name, err = s.textFrom(); err != nil {
		return nil, false, err
	}
	return name, false, s.open(':')
}

// object calls member for each member of an object, with its name; member reads the value. A null has none.
func (s *jsonScanner) object(member func(name []byte) error) error {
	if s.peek() == 'n' {
		return s.literal("null")
	}
	if err := s.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, done, err := s.name(first)
		if done || err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

// array calls item for each value of an array; item reads it. A null has none.
func (s *jsonScanner) array(item func() error) error {
	if s.peek() == 'n' {
		return s.literal("null")
	}
	if err := s.open('['); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		s.peek()
		if err := item(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.fail("want a comma or the end of an array")
		}
	}
}

// skip reads a value that nobody wants; depth is how many values it would be in if it were an object or an array.
func (s *jsonScanner) skip(depth int) error {
	c := s.peek()
	if depth > maxDepth && (c == '{' || c == '[') {
		return s.fail("nested deeper than %d", maxDepth)
	}
	switch c {
	case '{':
		return s.object(func([]byte) error { return s.skip(depth + 1) })
	case '[':
		return s.array(func() error { return s.skip(depth + 1) })
	case '"':
		_, err := s.textOrNull()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	_, err := s.number()
	return err
}

// number reads a number by the grammar of JSON.
func (s *jsonScanner) number() ([]byte, error) {
	s.peek()
	from := s.i
	s.accept('-')
	switch {
	case s.accept('0'):
	case s.digits() == 0:
		return nil, s.fail("want a value")
	}
	if s.accept('.') && s.digits() == 0 {
		return nil, s.fail("want a digit")
	}
	if s.accept('e') || s.accept('E') {
		_ = s.accept('+') || s.accept('-')
		if s.digits() == 0 {
			return nil, s.fail("want a digit")
		}
	}
	return s.b[from:s.i], nil
}

func (s *jsonScanner) accept(c byte) bool {
	ok := s.i < len(s.b) && s.b[s.i] == c
	if ok {
		s.i++
	}
	return ok
}

func (s *jsonScanner) digits() (n int) {
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
		n++
	}
	return n
}
