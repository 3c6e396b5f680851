"""Orders: what was bought, for how much, and what became of it."""

from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models.fields import AmountField

if TYPE_CHECKING:
    from models.carts import Cart
    from models.creators import Creator
    from models.discounts import Discount
    from models.payments import Payment
    from models.products import Product, ProductVariant
    from models.refunds import Refund
    from models.shipping import ShippingMethod
    from models.users import User


class Order(Model):
    """Everything bought at once, of one creator or of several, with one payment (none if it costs nothing).

    ``total`` is what the payment charges: the sum of its parts', one for each creator. ``number`` is given when
    it is paid, without gaps. ``buyer_key`` names the buyer to limits: a user, or a guest's email address.
    ``origin`` is CART, or PURCHASE for one product bought at once. ``sequence`` is the number of its last event.
    ``usage`` is what of limits it counts towards, as long as it stands: a list of subject, scope and quantity.
    """

    id = fields.UUIDField(primary_key=True)
    cart: fields.ForeignKeyNullableRelation["Cart"] = fields.ForeignKeyField(
        "models.Cart", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    cart_id: UUID | None
    cart_version = fields.IntField(null=True)
    payment: fields.ForeignKeyNullableRelation["Payment"] = fields.ForeignKeyField(
        "models.Payment", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    payment_id: UUID | None
    buyer: fields.ForeignKeyNullableRelation["User"] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    buyer_id: UUID | None
    buyer_key = fields.TextField(null=True)
    email = fields.TextField(null=True)
    address: fields.JSONField[dict[str, str]] = fields.JSONField(null=True)
    origin = fields.TextField()
    number = fields.BigIntField(null=True)
    status = fields.TextField()
    reason = fields.TextField(null=True)
    sequence = fields.IntField()
    currency = fields.TextField()
    subtotal = AmountField()
    discount = AmountField()
    shipping = AmountField()
    tax = AmountField()
    total = AmountField()
    usage: fields.JSONField[list[dict[str, object]]] = fields.JSONField(db_default=[])
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    paid_at = fields.DatetimeField(null=True)
    canceled_at = fields.DatetimeField(null=True)

    rules: ClassVar = (
        "one_order_per_payment",
        "order_number_is_unique",
        "paid_orders_have_numbers",
        "order_status_is_known",
        "order_origin_is_known",
        "order_amounts_are_sound",
        "order_currency_is_declared",
    )

    class Meta:
        table = "orders"


class OrderPart(Model):
    """One creator's part of an order: their sale. Amounts in minor units of the order's currency.

    ``subtotal`` sums its lines', ``discount``, ``tax`` and ``total`` also have its shipping's. Shipping is as a
    line: its price less its discount, with its tax in it or on top; all zero and without a method where nothing is
    shipped. What the creator gets of the total stands with the payment, or with the payment's share of the same id
    where there are several creators.
    """

    id = fields.UUIDField(primary_key=True)
    order: fields.ForeignKeyRelation["Order"] = fields.ForeignKeyField(
        "models.Order", related_name=False, on_delete=fields.RESTRICT
    )
    order_id: UUID
    creator: fields.ForeignKeyRelation["Creator"] = fields.ForeignKeyField(
        "models.Creator", related_name=False, on_delete=fields.RESTRICT
    )
    creator_id: UUID
    subtotal = AmountField()
    discount = AmountField()
    tax = AmountField()
    total = AmountField()
    shipping_method: fields.ForeignKeyNullableRelation["ShippingMethod"] = fields.ForeignKeyField(
        "models.ShippingMethod", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    shipping_method_id: UUID | None
    shipping_title = fields.TextField(null=True)
    shipping_price = AmountField(db_default=0)
    shipping_discount = AmountField(db_default=0)
    shipping_tax_name = fields.TextField(null=True)
    shipping_tax_basis_points = fields.IntField(db_default=0)
    shipping_tax_inclusive = fields.BooleanField(db_default=True)
    shipping_tax = AmountField(db_default=0)
    shipping_total = AmountField(db_default=0)
    shipping_refunded_amount = AmountField(db_default=0)
    shipping_refunded_tax = AmountField(db_default=0)
    created_at = fields.DatetimeField()

    rules: ClassVar = (
        "one_part_per_creator",
        "part_amounts_are_sound",
        "shipping_amounts_add_up",
        "shipping_refunds_within_total",
    )

    class Meta:
        table = "order_parts"


class OrderLine(Model):
    """So many of a variant, as it was sold. Amounts in minor units of the order's currency, for all of them.

    ``subtotal`` is ``quantity`` times ``unit_price``, ``discount`` what was taken off that. ``tax`` is contained
    in the rest where ``tax_inclusive``, and comes on top of it otherwise; ``total`` is what the buyer pays.
    Of the quantity, ``fulfilled`` were sent or handed over, ``canceled`` will not be, ``returned`` came back;
    ``refunded`` of them were paid back: ``refunded_amount``, with ``refunded_tax`` in it.
    """

    id = fields.UUIDField(primary_key=True)
    order: fields.ForeignKeyRelation["Order"] = fields.ForeignKeyField(
        "models.Order", related_name=False, on_delete=fields.RESTRICT
    )
    order_id: UUID
    part: fields.ForeignKeyRelation["OrderPart"] = fields.ForeignKeyField(
        "models.OrderPart", related_name=False, on_delete=fields.RESTRICT
    )
    part_id: UUID
    position = fields.IntField()
    product: fields.ForeignKeyRelation["Product"] = fields.ForeignKeyField(
        "models.Product", related_name=False, on_delete=fields.RESTRICT
    )
    product_id: UUID
    variant: fields.ForeignKeyRelation["ProductVariant"] = fields.ForeignKeyField(
        "models.ProductVariant", related_name=False, on_delete=fields.RESTRICT
    )
    variant_id: UUID
    title = fields.TextField()
    variant_title = fields.TextField(null=True)
    sku = fields.TextField(null=True)
    requires_shipping = fields.BooleanField()
    quantity = fields.IntField()
    unit_price = AmountField()
    subtotal = AmountField()
    discount = AmountField()
    tax_name = fields.TextField(null=True)
    tax_basis_points = fields.IntField()
    tax_inclusive = fields.BooleanField()
    tax = AmountField()
    total = AmountField()
    fulfilled = fields.IntField(db_default=0)
    canceled = fields.IntField(db_default=0)
    returned = fields.IntField(db_default=0)
    refunded = fields.IntField(db_default=0)
    refunded_amount = AmountField(db_default=0)
    refunded_tax = AmountField(db_default=0)

    rules: ClassVar = (
        "line_quantities_are_sound",
        "line_amounts_add_up",
        "line_refunds_within_total",
    )

    class Meta:
        table = "order_lines"


class OrderDiscount(Model):
    """A discount that an order was given, and how much it took off, shipping included."""

    id = fields.UUIDField(primary_key=True)
    order: fields.ForeignKeyRelation["Order"] = fields.ForeignKeyField(
        "models.Order", related_name=False, on_delete=fields.RESTRICT
    )
    order_id: UUID
    discount: fields.ForeignKeyRelation["Discount"] = fields.ForeignKeyField(
        "models.Discount", related_name=False, on_delete=fields.RESTRICT
    )
    discount_id: UUID
    title = fields.TextField()
    code = fields.TextField(null=True)
    amount = AmountField()

    rules: ClassVar = ("discount_once_per_order", "order_discount_not_negative")

    class Meta:
        table = "order_discounts"


class OrderEvent(Model):
    """Something that became of an order, numbered per order without gaps. What its subscribers replay."""

    id = fields.BigIntField(primary_key=True)
    order: fields.ForeignKeyRelation["Order"] = fields.ForeignKeyField(
        "models.Order", related_name=False, on_delete=fields.RESTRICT
    )
    order_id: UUID
    sequence = fields.IntField()
    kind = fields.TextField()
    status = fields.TextField()
    reason = fields.TextField(null=True)
    data: fields.JSONField[dict[str, object]] = fields.JSONField(db_default={})
    at = fields.DatetimeField()

    rules: ClassVar = (
        "order_event_number_is_unique",
        "order_event_number_is_positive",
        "order_event_status_is_known",
    )

    class Meta:
        table = "order_events"


class OrderCounter(Model):
    """The last order number that was given: a single row, updated last in its transaction."""

    id = fields.IntField(primary_key=True, generated=False)
    last_number = fields.BigIntField()

    rules: ClassVar = ("one_order_counter",)

    class Meta:
        table = "order_counter"


class Fulfilment(Model):
    """A part of an order that was sent, or handed over, by one creator."""

    id = fields.UUIDField(primary_key=True)
    part: fields.ForeignKeyRelation["OrderPart"] = fields.ForeignKeyField(
        "models.OrderPart", related_name=False, on_delete=fields.RESTRICT
    )
    part_id: UUID
    carrier = fields.TextField(null=True)
    tracking_number = fields.TextField(null=True)
    tracking_url = fields.TextField(null=True)
    automatic = fields.BooleanField(db_default=False)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("tracking_url_is_https",)

    class Meta:
        table = "fulfilments"


class FulfilmentLine(Model):
    """How many of a line were in a fulfilment."""

    id = fields.UUIDField(primary_key=True)
    fulfilment: fields.ForeignKeyRelation["Fulfilment"] = fields.ForeignKeyField(
        "models.Fulfilment", related_name=False, on_delete=fields.RESTRICT
    )
    fulfilment_id: UUID
    line: fields.ForeignKeyRelation["OrderLine"] = fields.ForeignKeyField(
        "models.OrderLine", related_name=False, on_delete=fields.RESTRICT
    )
    line_id: UUID
    quantity = fields.IntField()

    rules: ClassVar = ("line_once_per_fulfilment", "fulfilled_quantity_is_positive")

    class Meta:
        table = "fulfilment_lines"


class OrderReturn(Model):
    """Things a buyer sends back. REQUESTED, then RECEIVED or DECLINED by the creator, or CANCELED by the buyer."""

    id = fields.UUIDField(primary_key=True)
    part: fields.ForeignKeyRelation["OrderPart"] = fields.ForeignKeyField(
        "models.OrderPart", related_name=False, on_delete=fields.RESTRICT
    )
    part_id: UUID
    status = fields.TextField()
    reason = fields.TextField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("return_status_is_known",)

    class Meta:
        table = "order_returns"


class OrderReturnLine(Model):
    """How many of a line are in a return."""

    id = fields.UUIDField(primary_key=True)
    order_return: fields.ForeignKeyRelation["OrderReturn"] = fields.ForeignKeyField(
        "models.OrderReturn", related_name=False, on_delete=fields.RESTRICT
    )
    order_return_id: UUID
    line: fields.ForeignKeyRelation["OrderLine"] = fields.ForeignKeyField(
        "models.OrderLine", related_name=False, on_delete=fields.RESTRICT
    )
    line_id: UUID
    quantity = fields.IntField()

    rules: ClassVar = ("line_once_per_return", "return_quantity_is_positive")

    class Meta:
        table = "order_return_lines"


class OrderRefundItem(Model):
    """What of a refund is for which line of an order, or for the shipping of which part.

    ``quantity`` of the line is what it pays back; ``amount`` with ``tax`` in it, in minor units. ``undone_at``:
    the refund failed, and the line has them again.
    """

    id = fields.UUIDField(primary_key=True)
    refund: fields.ForeignKeyRelation["Refund"] = fields.ForeignKeyField(
        "models.Refund", related_name=False, on_delete=fields.RESTRICT
    )
    refund_id: UUID
    order: fields.ForeignKeyRelation["Order"] = fields.ForeignKeyField(
        "models.Order", related_name=False, on_delete=fields.RESTRICT
    )
    order_id: UUID
    line: fields.ForeignKeyNullableRelation["OrderLine"] = fields.ForeignKeyField(
        "models.OrderLine", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    line_id: UUID | None
    part: fields.ForeignKeyNullableRelation["OrderPart"] = fields.ForeignKeyField(
        "models.OrderPart", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    part_id: UUID | None
    quantity = fields.IntField()
    amount = AmountField()
    tax = AmountField()
    undone_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("refund_item_is_of_one_thing", "refund_item_is_sound")

    class Meta:
        table = "order_refund_items"


class AccessGrant(Model):
    """The right of whoever bought a line to its files and keys. ACTIVE, or REVOKED with why.

    ``download_limit`` is how often each file may be downloaded, as it was when this was given; NULL without limit.
    """

    id = fields.UUIDField(primary_key=True)
    line: fields.ForeignKeyRelation["OrderLine"] = fields.ForeignKeyField(
        "models.OrderLine", related_name=False, on_delete=fields.RESTRICT
    )
    line_id: UUID
    state = fields.TextField()
    reason = fields.TextField(null=True)
    download_limit = fields.IntField(null=True)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    rules: ClassVar = ("one_grant_per_line", "grant_state_is_known", "grant_limit_is_positive")

    class Meta:
        table = "access_grants"


class Download(Model):
    """How often a file was downloaded under a grant, of how often it may be (NULL without limit)."""

    id = fields.UUIDField(primary_key=True)
    grant: fields.ForeignKeyRelation["AccessGrant"] = fields.ForeignKeyField(
        "models.AccessGrant", related_name=False, on_delete=fields.RESTRICT
    )
    grant_id: UUID
    file_id = fields.UUIDField()
    used = fields.IntField(db_default=0)
    limit = fields.IntField(null=True)
    last_at = fields.DatetimeField(null=True)

    rules: ClassVar = ("one_count_per_grant_and_file", "downloads_within_limit")

    class Meta:
        table = "downloads"
