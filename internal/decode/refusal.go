package decode

// Refusal is what an answer of status 400 or above says.
type Refusal struct {
	Code    string // such as ExpiredIteratorException, perhaps with a namespace before a '#'; may be empty
	Message string // may be empty
}

// Refused decodes the body of a refusal in CBOR, and takes it over. Refusals in JSON are left to the AWS SDK.
func Refused(body []byte) (Refusal, error) {
	var r Refusal
	s := &cborScanner{b: body}
	err := s.object(func(name []byte) error {
		var to *string
		switch string(name) {
		case "__type", "code":
			to = &r.Code
		case "message", "Message":
			to = &r.Message
		default:
			return s.skip(2)
		}
		b, err := s.textOrNull()
		*to = string(b)
		return err
	})
	if err == nil && s.i < len(body) {
		err = s.fail("data behind the answer")
	}
	if err != nil {
		return Refusal{}, err
	}
	return r, nil
}

// FormatOf tells the format of a body by its first byte: all that begins an answer in CBOR is outside of ASCII.
func FormatOf(body []byte) Format {
	if len(body) > 0 && body[0] >= 0x80 {
		return CBOR
	}
	return JSON
}
