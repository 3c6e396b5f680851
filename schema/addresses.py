"""Postal addresses."""

import strawberry

import core.addresses


@strawberry.type(description="A postal address.")
class PostalAddress:
    name: str = strawberry.field(description="Who lives or works there.")
    company: str | None = strawberry.field(description="The company.")
    line1: str = strawberry.field(description="Street and number.")
    line2: str | None = strawberry.field(description="Floor, flat and the like.")
    district: str | None = strawberry.field(description="A part of the city.")
    city: str | None = strawberry.field(description="The city; some countries' addresses have none.")
    region: str | None = strawberry.field(description="The state or province.")
    postal_code: str | None = strawberry.field(description="The postal code.")
    sorting_code: str | None = strawberry.field(description="What some countries have beside it, such as CEDEX.")
    country: str = strawberry.field(description="Two letters (ISO 3166-1): `DE`.")

    @classmethod
    def of(cls, address: core.addresses.Address) -> "PostalAddress":
        """Return an address as clients see it."""
        return cls(
            name=address.name,
            company=address.company or None,
            line1=address.line1,
            line2=address.line2 or None,
            district=address.district or None,
            city=address.city or None,
            region=address.region or None,
            postal_code=address.postal_code or None,
            sorting_code=address.sorting_code or None,
            country=address.country,
        )


@strawberry.input(
    description="A postal address. What is needed depends on its country; each field has at most 200 characters."
)
class AddressInput:
    name: str = strawberry.field(description="Who lives or works there.")
    line1: str = strawberry.field(description="Street and number.")
    country: str = strawberry.field(description="Two letters (ISO 3166-1): `DE`.")
    company: str | None = strawberry.field(default=None, description="The company.")
    line2: str | None = strawberry.field(default=None, description="Floor, flat and the like.")
    district: str | None = strawberry.field(
        default=None, description="A part of the city, where addresses have it."
    )
    city: str | None = strawberry.field(default=None, description="The city.")
    region: str | None = strawberry.field(
        default=None, description="The state or province, by its name or its usual abbreviation."
    )
    postal_code: str | None = strawberry.field(default=None, description="The postal code.")
    sorting_code: str | None = strawberry.field(
        default=None, description="What some countries have beside it, such as CEDEX."
    )

    def parsed(self) -> core.addresses.Address:
        """Return it as a value, as it was sent; ``services.addresses.checked`` looks at it."""
        return core.addresses.Address(
            name=self.name,
            company=self.company or "",
            line1=self.line1,
            line2=self.line2 or "",
            district=self.district or "",
            city=self.city or "",
            region=self.region or "",
            postal_code=self.postal_code or "",
            sorting_code=self.sorting_code or "",
            country=self.country,
        )
