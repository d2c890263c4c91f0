import Hummingbird
import Crypto
import GRDB
