import Foundation
import GRDB

extension Row {
    /// The value of a column. GRDB's own subscript ends the program where the file is damaged and another type stands there.
    ///
    /// - Throws: `StoreError.damaged`.
    public func checked<Value: DatabaseValueConvertible>(_ index: Int, as type: Value.Type = Value.self) throws -> Value
    {
        guard index < count, let value = Value.fromDatabaseValue(self[index] as DatabaseValue) else {
            throw StoreError.damaged(path: "a row", reason: "column \(index) does not hold what it must")
        }
        return value
    }

    public func checked<Value: DatabaseValueConvertible>(_ name: String, as type: Value.Type = Value.self) throws
        -> Value
    {
        guard hasColumn(name), let value = Value.fromDatabaseValue(self[name] as DatabaseValue) else {
            throw StoreError.damaged(path: "a row", reason: "the column \(name) does not hold what it must")
        }
        return value
    }
}
