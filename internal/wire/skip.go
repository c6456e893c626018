package wire

// skip reads any value and forgets it. It keeps the kinds of the open brackets itself, in place of calling itself, so that
// a line of brackets cannot use up the stack.
func (s *scanner) skip() error {
	var open nesting
	for {
		opened, err := s.skipStart(&open)
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		if more, err := s.skipEnd(&open); err != nil || !more {
			return err
		}
	}
}

// nesting is a stack of open brackets.
type nesting struct {
	depth   int
	objects [maxDepth]bool // whether the bracket at a depth is a brace
}

func (n *nesting) push(object bool) bool {
	if n.depth == maxDepth {
		return false
	}
	n.objects[n.depth] = object
	n.depth++
	return true
}

func (n *nesting) inObject() bool { return n.objects[n.depth-1] }

// skipStart reads a scalar, an empty object or array, or the beginning of another up to its first value. opened says that
// a value must follow.
func (s *scanner) skipStart(open *nesting) (opened bool, err error) {
	c := s.space()
	if c != '{' && c != '[' {
		_, err := s.scalar()
		return false, err
	}
	if !open.push(c == '{') {
		return false, s.fail("nested too deep")
	}
	s.i++
	if next := s.space(); next == c+2 && s.i < len(s.b) { // ] is [ + 2, and } is { + 2
		s.i++
		open.depth--
		return false, nil
	}
	if c == '{' {
		_, err = s.key()
	}
	return true, err
}

// skipEnd reads what follows a value: closing brackets, and a comma if another value follows.
func (s *scanner) skipEnd(open *nesting) (more bool, err error) {
	for open.depth > 0 {
		closing := byte(']')
		if open.inObject() {
			closing = '}'
		}
		switch c := s.space(); {
		case c == ',':
			s.i++
			if open.inObject() {
				_, err = s.key()
			}
			return true, err
		case c == closing:
			s.i++
			open.depth--
		default:
			return false, s.fail("want , or a closing bracket")
		}
	}
	return false, nil
}
