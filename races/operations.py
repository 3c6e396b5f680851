"""The operations that buyers and creators send."""

from typing import Final

ERRORS: Final = """
errors {
  __typename code message path
  ... on InsufficientStock { available }
  ... on DiscountRejected { discountCode reason }
  ... on CartCheckedOut { orderId }
  ... on RefundTooLarge { refundable { minorUnits } }
}
"""

# What a buyer sends -----------------------------------------------------------------------------------------

CART_CREATE: Final = f"""
mutation ($input: CartCreateInput!) {{
  cartCreate(input: $input) {{
    cart {{ id total {{ amount currency }} }}
    cartToken
    {ERRORS}
  }}
}}
"""
CART_UPDATE: Final = f"""
mutation ($input: CartUpdateInput!) {{
  cartUpdate(input: $input) {{ cart {{ id version lines {{ quantity }} }} {ERRORS} }}
}}
"""
CHECKOUT_COMPLETE: Final = f"""
mutation ($input: CheckoutCompleteInput!) {{
  checkoutComplete(input: $input) {{
    order {{ id status total {{ minorUnits amount currency }} }}
    payment {{ id status }}
    paymentToken
    {ERRORS}
  }}
}}
"""
PAYMENT_CONFIRM: Final = f"""
mutation ($input: PaymentConfirmInput!) {{
  paymentConfirm(input: $input) {{ payment {{ id status statusReason }} {ERRORS} }}
}}
"""
PAYMENT_CANCEL: Final = f"""
mutation ($input: PaymentCancelInput!) {{
  paymentCancel(input: $input) {{ payment {{ id status }} {ERRORS} }}
}}
"""
ORDER_CANCEL: Final = f"""
mutation ($input: OrderCancelInput!) {{
  orderCancel(input: $input) {{ order {{ id status }} {ERRORS} }}
}}
"""
ORDER: Final = """
query ($id: ID!) {
  order(id: $id) {
    id status total { minorUnits } discount { minorUnits }
    lines { id licenceKeys { key } }
    sales { id total { minorUnits } }
  }
}
"""
PAYMENT: Final = """
query ($id: ID!) {
  payment(id: $id) {
    id status statusReason
    amount { minorUnits currency }
    amounts {
      authorized { minorUnits } authorizedPending { minorUnits }
      captured { minorUnits } capturedPending { minorUnits }
      refunded { minorUnits } refundedPending { minorUnits }
    }
    events { status }
    refunds { id status amount { minorUnits } }
  }
}
"""

# What a creator sends ---------------------------------------------------------------------------------------

MY_CREATOR: Final = "{ me { creator { id handle } } }"
CREATOR_CREATE: Final = f"""
mutation ($input: CreatorCreateInput!) {{ creatorCreate(input: $input) {{ creator {{ id handle }} {ERRORS} }} }}
"""
PRODUCT_CREATE: Final = f"""
mutation ($input: ProductCreateInput!) {{
  productCreate(input: $input) {{ product {{ id variants {{ id }} }} {ERRORS} }}
}}
"""
PRODUCT_ARCHIVE: Final = f"""
mutation ($input: ProductArchiveInput!) {{ productArchive(input: $input) {{ product {{ id }} {ERRORS} }} }}
"""
DISCOUNT_CREATE: Final = f"""
mutation ($input: DiscountCreateInput!) {{ discountCreate(input: $input) {{ discount {{ id }} {ERRORS} }} }}
"""
DISCOUNT_ARCHIVE: Final = f"""
mutation ($input: DiscountArchiveInput!) {{ discountArchive(input: $input) {{ discount {{ id }} {ERRORS} }} }}
"""
KEYS_UPLOAD: Final = f"""
mutation ($input: LicenceKeysUploadInput!) {{ licenceKeysUpload(input: $input) {{ added {ERRORS} }} }}
"""
STOCK: Final = """
query ($product: ID!) {
  product(id: $product) {
    variants {
      id available
      stockLevels {
        onHand reserved location { id }
        movements(first: 100) { nodes { kind onHand reserved } pageInfo { hasNextPage } }
      }
    }
  }
}
"""
STOCK_SET: Final = f"""
mutation ($input: StockSetInput!) {{ stockSet(input: $input) {{ level {{ onHand }} {ERRORS} }} }}
"""
STOCK_ADJUST: Final = f"""
mutation ($input: StockAdjustInput!) {{ stockAdjust(input: $input) {{ level {{ onHand }} {ERRORS} }} }}
"""
SALES: Final = """
query ($handle: String!, $after: String) {
  creator(handle: $handle) {
    sales(first: 100, after: $after, sort: NEWEST) {
      nodes { id status total { minorUnits } lines { id quantity variant { id } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
SALE_REFUND: Final = f"""
mutation ($input: SaleRefundInput!) {{ saleRefund(input: $input) {{ sale {{ id }} {ERRORS} }} }}
"""
REFUND_CREATE: Final = f"""
mutation ($input: RefundCreateInput!) {{ refundCreate(input: $input) {{ refund {{ id status }} {ERRORS} }} }}
"""
