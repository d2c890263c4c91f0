import ArgumentParser
import ShoalClient

/// `NAME=VALUE` as typed; an empty value clears the field.
struct FieldArgument: ExpressibleByArgument {
    var field: FieldValue

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else { return nil }
        field = FieldValue(String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
    }

    /// - Throws: when a field is given twice, of which only one could hold.
    static func refuseRepeated(_ fields: [FieldArgument]) throws {
        var seen: Set<String> = []
        for name in fields.map(\.field.name) where !seen.insert(name).inserted {
            throw ValidationError("the field \(name) is given twice")
        }
    }

    /// The names that are not free ones, for completions and help.
    static let names =
        "name gender type phone birth_year birth_month skin occupation unionid external_userid avatar wangwang source stage "
        + "remark description remark_mobiles add_way state"

    static var defaultCompletionKind: CompletionKind { .list(names.split(separator: " ").map { "\($0)=" }) }
}
