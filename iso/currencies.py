"""ISO 4217 currencies and their decimals."""

from decimal import Decimal

TWO_DECIMALS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP
    CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
    KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
    NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB
    TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
DECIMALS = {
    code: decimals
    for decimals, codes in ((2, TWO_DECIMALS), (0, NO_DECIMALS), (3, THREE_DECIMALS))
    for code in codes.split()
}


def has_decimals_for(amount: Decimal, currency: str) -> bool:
    """Whether the currency has the amount's decimals: not for 19.99 JPY."""
    return amount == rounded(amount, currency)


def decimals_rule(currency: str) -> str:
    """Return how many decimals an amount may have, as a sentence: "JPY has no decimals."."""
    decimals = DECIMALS.get(currency, 2)
    return f"{currency} has at most {decimals} decimals." if decimals else f"{currency} has no decimals."


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round to the currency's decimals; two if unknown."""
    return round(amount, DECIMALS.get(currency, 2))


def amount_text(amount: Decimal, currency: str) -> str:
    """Return the amount as it is sent: 1999 JPY as "1999", 12.5 USD as "12.50".

    Raises ValueError for an amount with more decimals than the currency has: rounding would change it.
    """
    if not has_decimals_for(amount, currency):
        raise ValueError(f"{amount} {currency} has too many decimals: {decimals_rule(currency)}")
    return f"{rounded(amount, currency):f}"


def format_amount(amount: Decimal, currency: str) -> str:
    """Return the amount as it is shown, with its currency: "1,999 JPY", "1,234.50 USD"."""
    return f"{format_number(amount, currency)} {currency}"


def format_number(amount: Decimal, currency: str) -> str:
    """Return the amount as it is shown where the currency stands elsewhere."""
    return f"{rounded(Decimal(amount), currency):,f}"
