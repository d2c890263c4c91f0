/// Decides, scalar by scalar, what of a text somebody who looks at it can see; everything that leaves the programs for people
/// goes by it.
///
/// What is not shown: controls (C0, DEL, C1), which act on a terminal; line and paragraph separators; bidirectional controls,
/// which reorder what stands around them; and all that has no picture (Unicode's default ignorable code points: joiners,
/// fillers, selectors, tags, the byte order mark), annotations and noncharacters, with which two texts look the same that are
/// not. Of those without a picture people do need some, and these are shown where they mean something: variation selectors
/// behind what can vary, joiners in emoji and in the scripts that are written with them. So never more than two in a row are.
///
/// Letters that are written from right to left stay: they are text.
struct VisibleText {
    /// What was shown before; the replacement character for what was not.
    private var previous: Unicode.Scalar?

    /// Whether the next scalar of the text is shown.
    mutating func shows(_ scalar: Unicode.Scalar) -> Bool {
        let isShown = Self.hasPicture(scalar) || varies(scalar) || joins(scalar)
        previous = isShown ? scalar : "\u{FFFD}"
        return isShown
    }

    private static func hasPicture(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20...0x7E, 0x4E00...0x9FFF: return true
        case 0xFFF9...0xFFFB: return false
        default: break
        }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: return false
        default: return !properties.isDefaultIgnorableCodePoint && !properties.isNoncharacterCodePoint
        }
    }

    /// Whether it chooses between the pictures of the scalar before it.
    private func varies(_ scalar: Unicode.Scalar) -> Bool {
        guard let previous, previous != "\u{FFFD}" else { return false }
        switch scalar.value {
        case 0xFE00...0xFE0F where previous.isASCII: return "0123456789#*".unicodeScalars.contains(previous)
        case 0xFE00...0xFE0F: return Self.hasPicture(previous)
        case 0xE0100...0xE01EF: return previous.properties.isIdeographic
        case 0x180B...0x180F: return (0x1820...0x18AA).contains(previous.value)
        default: return false
        }
    }

    /// Whether it joins or parts letters of a script that is written so, or the parts of an emoji.
    private func joins(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar == "\u{200C}" || scalar == "\u{200D}", let previous else { return false }
        switch previous.value {
        case 0x600...0xDFF, 0x1000...0x109F, 0x1780...0x18AF: return Self.hasPicture(previous)
        case 0xFE0F: return true
        default: return !previous.isASCII && previous.properties.isEmoji
        }
    }
}
